-- The durable tap: every message with a body is appended to a write-ahead log before it is routed, and handed in order
-- to the message service (our component), which acknowledges what it has stored. ../README.md describes the protocol.
--
-- Group commit: the messages of one turn of the event loop are written together and, with fsync on, share one
-- fdatasync; further ones gather meanwhile. Only then they are routed, in the order in which they came. What must not
-- overtake them (other messages of the sender, acknowledgements of his stream) waits in the same queue.
--
-- The log is a row of segment files named by their first entry; a segment goes when all of it is acknowledged. Lines
-- (im_records): L lineage acked routed (first line), S seq stamp sender key xml, A acked, R routed. The key says which
-- message of its sender it is, so that a start need not parse what it only has to recognise; - is none.

local st = require "util.stanza";
local jid = require "util.jid";
local lfs = require "lfs";
local async = require "util.async";
local filters = require "util.filters";
local add_task = require "util.timer".add_task;
local md5 = require "util.hashes".md5;
local now = require "util.time".now;
local new_uuid = require "util.uuid".generate;
local records = module:require "im_records";
local read_body = module:require "im_body".read;
local new_syncer = module:require "im_sync".new;

local NS = "urn:yingchuang:im:1";
local core_post_stanza = prosody.core_post_stanza;
local host, component = module.host, module:get_option_string("im_component");
local folder = prosody.paths.data.."/tap";
local window = module:get_option_number("im_tap_window", 512);
local segment_bytes = module:get_option_number("im_tap_segment_bytes", 8 * 1024 * 1024);
local mode = module:get_option_string("im_tap_fsync", "group");
local kept_in_memory = 4 * window; -- entries; more are read back from the segments
local resend_window = 60; -- seconds in which a message sent again is not routed again

local lineage; -- identifies this log: another one starts its numbers anew
local committed, routed, acked, sent = 0, 0, 0, 0; -- numbers of the last entry on disk, routed, acknowledged, sent
local segments = {}; -- of { first, last, path }, oldest first; the last one is written to
local out, out_size; -- the open segment
local memory = {}; -- seq → entry, for those not acknowledged
local send; -- to the component, while it is connected

local function path_of(first) return ("%s/%020d.log"):format(folder, first); end

-- Messages seen in the last minute, by 64 bits of a hash of sender, conversation and message: half a million texts would
-- be most of what the garbage collector has to look at, and it stopped everybody for a tenth of a second. In slices of
-- five seconds, newest first, so that no table is large when it grows.

local slice_seconds, slice_entries = 5, 50000;
local slices, slice_since, slice_count = { {} }, now(), 0;

-- Conversation and messageId; nil when the message has no id.
local function key_of(stanza, sender)
	local body = read_body(stanza);
	if not body or not body.message_id then return nil; end
	local to, from = stanza.attr.to, sender:match("^[^/]*");
	local conversation = to and to:match("^[^/]*") or from;
	if to and conversation == from then conversation = to; end -- each own device is a conversation
	local key = conversation.." "..body.message_id;
	return key:find("[%c<]") and key:gsub("[%c<]", " ") or key; -- a field of a line
end

local function seen_key(sender, key)
	return (string.unpack("<i8", md5((sender:match("^[^/]*")).." "..key)));
end

local function is_repeated(key)
	for i = 1, #slices do
		local since = slices[i][key];
		if since then return now() - since < resend_window; end
	end
	return false;
end

local function remember(key, at)
	if now() - slice_since > slice_seconds or slice_count >= slice_entries then
		table.insert(slices, 1, {});
		slices[resend_window // slice_seconds + 2] = nil;
		slice_since, slice_count = now(), 0;
	end
	slices[1][key], slice_count = at, slice_count + 1;
end

local function forget(key)
	for i = 1, #slices do slices[i][key] = nil; end
end

-- To the component

local function entry_xml(entry)
	return "<message from='"..host.."' to='"..component.."'><tap xmlns='"..NS.."' seq='"..entry.seq.."' stamp='"..entry.stamp
		.."' sender='"..st.xml_escape(entry.sender).."'><forwarded xmlns='urn:xmpp:forward:0'>"..entry.xml
		.."</forwarded></tap></message>";
end

local function decode_entry(text)
	local seq, stamp, sender, key, xml = text:match("^(%d+)\t(%d+)\t([^\t]*)\t([^\t<]*)\t?(<.*)$");
	if not seq then return nil; end
	-- Without a key: a line of an earlier version.
	return { seq = math.tointeger(tonumber(seq)), stamp = stamp, sender = sender, key = key ~= "" and key, xml = xml };
end

local reader; -- { segment, file, at }: reads entries one after the other, at = the next one

local function close_reader()
	if reader then reader.file:close(); end
	reader = nil;
end

local function read_entry(seq)
	if reader and reader.at > seq then close_reader(); end
	while true do
		if not reader then
			local segment;
			for i = #segments, 1, -1 do
				if segments[i].first <= seq then segment = segments[i]; break; end
			end
			local file = segment and io.open(segment.path, "rb");
			if not file or (segment.last and seq > segment.last) then return nil; end
			reader = { segment = segment, file = file, at = segment.first };
		end
		if reader.segment.last and seq > reader.segment.last then
			close_reader();
		else
			reader.file:seek("cur", 0); -- forget an earlier end of file
			local line = reader.file:read("L");
			if not line then return nil; end
			local kind, text = records.decode(line);
			local entry = kind == "S" and decode_entry(text);
			if entry then
				reader.at = entry.seq + 1;
				if entry.seq == seq then return entry; end
				if entry.seq > seq then return nil; end
			end
		end
	end
end

local function pump()
	local texts, n = {}, 0;
	while send and sent < committed and sent - acked < window do
		local entry = memory[sent + 1] or read_entry(sent + 1);
		if not entry then
			module:log("error", "Entry %d of the tap can't be read", sent + 1);
			break;
		end
		sent = entry.seq;
		n = n + 1;
		texts[n] = entry_xml(entry);
	end
	if n > 0 then send(table.concat(texts)); end -- each write costs a system call and two timers
end

-- Segments

local function open_segment(first)
	if out then
		out:close();
		out = nil;
		local last = segments[#segments];
		last.last = first - 1;
		if last.last < last.first then
			if last.path ~= path_of(first) then os.remove(last.path); end
			segments[#segments] = nil;
		end
	end
	local path = path_of(first);
	local header = records.encode("L", lineage, ("%d"):format(acked), ("%d"):format(routed));
	local file, problem = io.open(path..".new", "wb");
	local ok = file;
	if ok then ok, problem = file:write(header); end
	if file then
		local closed, close_problem = file:close();
		if ok and not closed then ok, problem = nil, close_problem; end
	end
	if ok then ok, problem = os.rename(path..".new", path); end
	if ok then file, problem = io.open(path, "ab"); ok = file; end
	if not ok then return nil, problem; end
	file:setvbuf("full", 65536);
	out, out_size = file, #header;
	segments[#segments + 1] = { first = first, path = path };
	return true;
end

local function drop_acked_segments()
	while segments[1] and segments[1].last and segments[1].last <= acked do
		if reader and reader.segment == segments[1] then close_reader(); end
		os.remove(segments[1].path);
		table.remove(segments, 1);
	end
end

-- Reads what an earlier run left. Returns the entries that may not have been routed; the others of the last minute are
-- remembered by their keys.
local function recover()
	lfs.mkdir(folder);
	local firsts = {};
	for name in lfs.dir(folder) do
		local first = name:match("^(%d+)%.log$");
		if first then firsts[#firsts + 1] = math.tointeger(tonumber(first)); end
	end
	table.sort(firsts);
	local unsure, oldest, newest = {}, 1, 0;
	local a_minute_ago = (now() - resend_window) * 1000;
	local function forget_routed()
		local entry = unsure[oldest];
		while entry and entry.seq <= routed do
			local stamp = tonumber(entry.stamp);
			if stamp >= a_minute_ago then
				local key = entry.key or key_of(records.line_to_stanza(entry.xml), entry.sender) or "-";
				if key ~= "-" then remember(seen_key(entry.sender, key), stamp / 1000); end
			end
			unsure[oldest] = nil;
			oldest = oldest + 1;
			entry = unsure[oldest];
		end
	end
	for i, first in ipairs(firsts) do
		local segment = { first = first, last = first - 1, path = path_of(first) };
		local file = assert(io.open(segment.path, "rb"));
		file:setvbuf("full", 1024 * 1024);
		local torn;
		for line in file:lines("L") do
			local kind, text = records.decode(line);
			if not kind then torn = true; break; end
			if kind == "S" then
				local entry = decode_entry(text);
				if firsts[i + 1] and entry.seq >= firsts[i + 1] then break; end -- refused, its number was used again
				segment.last = entry.seq;
				newest = newest + 1;
				unsure[newest] = entry;
			elseif kind == "A" then
				acked = math.max(acked, math.tointeger(tonumber(text)));
			elseif kind == "R" then
				routed = math.max(routed, math.tointeger(tonumber(text)));
				forget_routed();
			elseif kind == "L" then
				local name, a, r = text:match("^(%x+)\t(%d+)\t(%d+)$");
				lineage = name;
				acked = math.max(acked, math.tointeger(tonumber(a)));
				routed = math.max(routed, math.tointeger(tonumber(r)));
			end
		end
		if torn then module:log("warn", "%s: cut off after entry %d", segment.path, segment.last); end
		file:close();
		committed = segment.last;
		if segment.last >= segment.first then segments[#segments + 1] = segment; end
	end
	lineage = lineage or (new_uuid():gsub("-", ""));
	-- What was deleted had been acknowledged, even if a crash took the mark.
	if segments[1] then acked = math.max(acked, segments[1].first - 1); end
	acked, routed = math.min(acked, committed), math.min(routed, committed);
	sent = acked;
	forget_routed();
	return table.move(unsure, oldest, newest, 1, {});
end

-- Group commit

local gathering, flying = { n = 0 }, nil; -- items: { session, sender, done(item), stanza; xml, key, seen_key, fail(item) }
local flush_planned = false;
local wanted_paths; -- what the sync of `flying` covers
local syncer;
local mark_routed_at;

local function release(group)
	for i = 1, group.n do
		local session = group[i].session;
		if session and session.im_waiting then session.im_waiting = session.im_waiting - 1; end
	end
end

local flush;

local function plan_flush()
	if flush_planned then return; end
	flush_planned = true;
	add_task(0, function ()
		flush_planned = false;
		flush();
	end);
end

local function run(callback, ...)
	local ok, problem = xpcall(callback, debug.traceback, ...);
	if not ok then module:log("error", "After a commit: %s", problem); end
end

-- The mark of what was routed is written a moment later: then it has reached the sockets, too.
local function mark_routed()
	if mark_routed_at then return; end
	mark_routed_at = true;
	local reached = routed;
	add_task(0.1, function ()
		mark_routed_at = nil;
		if out then
			out:write(records.encode("R", ("%d"):format(reached)), records.encode("A", ("%d"):format(acked)));
			out:flush();
		end
		if reached < routed then mark_routed(); end
	end);
end

local function commit_done()
	local group = flying;
	flying, wanted_paths = nil, nil;
	release(group);
	for i = 1, group.n do
		local item = group[i];
		if item.seq then
			committed = item.seq;
			if committed - acked <= kept_in_memory then memory[committed] = item; end
		end
	end
	for i = 1, group.n do
		local item = group[i];
		run(item.done, item);
		item.stanza, item.session = nil, nil; -- what stays in memory is for the component
	end
	if routed < committed then
		routed = committed;
		mark_routed();
	end
	pump();
	if gathering.n > 0 then plan_flush(); end
end

local function commit_failed(problem)
	module:log("error", "The tap can't be written: %s", problem);
	local group = flying;
	flying, wanted_paths = nil, nil;
	release(group);
	-- Whatever is in the segment after the last committed entry is void: the next one starts with that number.
	if out then
		pcall(out.close, out);
		out = nil;
		local last = segments[#segments];
		last.last = committed;
		if last.last < last.first then segments[#segments] = nil; end
	end
	for i = 1, group.n do
		local item = group[i];
		run(item.fail or item.done, item);
	end
	if gathering.n > 0 then plan_flush(); end
end

function flush()
	if flying or gathering.n == 0 then return; end
	flying, gathering = gathering, { n = 0 };
	local lines, n = {}, 0;
	local seq = committed;
	local stamp = ("%d"):format(now() * 1000 // 1);
	for i = 1, flying.n do
		local item = flying[i];
		if item.xml then
			seq = seq + 1;
			item.seq, item.stamp = seq, stamp;
			n = n + 1;
			lines[n] = records.encode("S", ("%d"):format(seq), stamp, item.sender, item.key, item.xml);
		end
	end
	if n == 0 then return commit_done(); end
	local paths = {};
	local ok, problem = true, nil;
	if not out or out_size > segment_bytes then
		ok, problem = open_segment(committed + 1);
		paths[#paths + 1] = folder;
		drop_acked_segments();
	end
	if ok then
		local text = table.concat(lines);
		ok, problem = out:write(text);
		if ok then ok, problem = out:flush(); end
		out_size = (out_size or 0) + #text;
	end
	if not ok then return commit_failed(problem); end
	if not syncer then return commit_done(); end
	table.insert(paths, 1, segments[#segments].path);
	wanted_paths = paths;
	syncer.sync(paths, function (failure)
		if wanted_paths ~= paths then return; end
		if failure then commit_failed(failure); else commit_done(); end
	end);
end

local function enqueue(item)
	gathering.n = gathering.n + 1;
	gathering[gathering.n] = item;
	if item.session then item.session.im_waiting = (item.session.im_waiting or 0) + 1; end
	if not flying then plan_flush(); end
end

-- Messages of clients

local silent = function () return false; end

-- Of what Prosody does before it routes a message, only the carbons are left then, and perhaps nobody wants any.
local carbons_wanted = false;
module:hook("iq-set/self/urn:xmpp:carbons:2:enable", function () carbons_wanted = true; end, 10);

-- Routes a message as its sender sent it, even when his stream has ended meanwhile.
local function route(stanza, origin, full_jid)
	stanza.im_routed = true;
	if origin.destroyed or not origin.full_jid then
		origin = {
			type = "c2s", host = host, username = jid.node(full_jid), full_jid = full_jid, resource = jid.resource(full_jid),
			send = silent, log = module._log, destroyed = true,
		};
	end
	core_post_stanza(origin, stanza, carbons_wanted);
end

local function route_item(item) route(item.stanza, item.session, item.sender); end

local function refuse_item(item)
	if item.seen_key then forget(item.seen_key); end
	if item.session.send then
		item.session.send(st.error_reply(item.stanza, "wait", "internal-server-error", "The message could not be stored"));
	end
end

local function do_nothing() end

-- Most children reach the log and each receiver as they are.
local function keep_xml(stanza)
	for _, child in ipairs(stanza.tags) do
		if not child.tags[1] and child.attr.xmlns ~= "jabber:client" then child.im_xml = tostring(child); end
	end
end

local function capture(event)
	local stanza, origin = event.stanza, event.origin;
	if stanza.im_routed or (origin.type ~= "c2s" and not origin.destroyed) then return; end
	local full_jid = stanza.attr.from;
	if not stanza.im_keep then
		if (origin.im_waiting or 0) == 0 then return; end
		enqueue { session = origin, sender = full_jid, stanza = stanza, done = route_item };
		return true;
	end
	if event.to_self then stanza.attr.to = jid.bare(full_jid); end
	keep_xml(stanza);
	local xml = records.stanza_to_line(stanza);
	local key = key_of(stanza, full_jid);
	local seen_as = key and seen_key(full_jid, key);
	local repeated = seen_as and is_repeated(seen_as);
	if seen_as and not repeated then remember(seen_as, now()); end
	if event.to_self then stanza.attr.to = nil; end
	enqueue {
		session = origin, sender = full_jid, key = key or "-", xml = xml, stanza = stanza,
		seen_key = not repeated and seen_as, done = repeated and do_nothing or route_item, fail = refuse_item,
	};
	return true;
end

for _, target in ipairs { "bare", "full", "host" } do module:hook("pre-message/"..target, capture, 20); end

-- XEP-0198 counts a stanza when it is read. We must not tell the sender before it is stored: an acknowledgement waits
-- for the stanzas before it, and counts only those.

local function note_count(stanza, session)
	stanza.im_h = session.handled_stanza_count;
	return stanza;
end

filters.add_filter_hook(function (session) filters.add_filter(session, "stanzas/in", note_count, -10); end);

for _, xmlns in ipairs { "urn:xmpp:sm:3", "urn:xmpp:sm:2" } do
	module:hook("stanza/"..xmlns..":r", function (event)
		local session, stanza = event.origin, event.stanza;
		if not session.smacks or not stanza.im_h then return; end
		local function answer()
			if session.send then session.send(st.stanza("a", { xmlns = xmlns, h = ("%d"):format(stanza.im_h) })); end
		end
		if (session.im_waiting or 0) == 0 then answer(); else enqueue { session = session, done = answer }; end
		return true;
	end, 10);

	module:hook("stanza/"..xmlns..":resume", function (event)
		local session, stanza = event.origin, event.stanza;
		local tokens = module:shared("/*/smacks/resumption-tokens");
		local resumed = session.username and stanza.attr.previd
			and tokens[jid.join(session.username, session.host, stanza.attr.previd)];
		if not resumed or (resumed.im_waiting or 0) == 0 then return; end
		local wait, done = async.waiter();
		enqueue { done = done };
		wait();
	end, 10);
end

-- A stream that is closed while messages of it are on their way to the disk: no last acknowledgement.
module:hook("pre-session-close", function (event)
	local session = event.session;
	if (session.im_waiting or 0) > 0 then session.handled_stanza_count = nil; end
end, 10);

-- The component

local function connected(session)
	send = session.send;
	sent = acked;
	send("<message from='"..host.."' to='"..component.."'><tap-start xmlns='"..NS.."' log='"..lineage.."' acked='"
		..("%d"):format(acked).."' last='"..("%d"):format(committed).."'/></message>");
	module:fire_event("im-component-connected", { send = send });
	pump();
end

module:hook("message/host", function (event)
	local origin, stanza = event.origin, event.stanza;
	local ack = stanza:get_child("ack", NS);
	if not ack or origin.type ~= "component" or origin.host ~= component then return; end
	local seq = math.tointeger(tonumber(ack.attr.seq));
	if seq and seq > acked and seq <= sent then
		for i = acked + 1, seq do memory[i] = nil; end
		acked = seq;
		mark_routed();
		drop_acked_segments();
	end
	pump();
	return true;
end, 100);

local function start()
	local unsure = recover();
	assert(open_segment(committed + 1));
	drop_acked_segments();
	if mode == "group" then
		syncer = new_syncer(module, module:get_option_string("im_sync_program"));
	elseif mode ~= "off" then
		error("XMPP_TAP_FSYNC is '"..mode.."', not group or off", 0);
	end
	module:log("info", "Tap: log %s, last %d, acked %d, routed %d, fsync %s", lineage, committed, acked, routed, mode);
	local again = 0;
	for _, entry in ipairs(unsure) do
		local stanza = records.line_to_stanza(entry.xml);
		if stanza then
			local key = key_of(stanza, entry.sender);
			key = key and seen_key(entry.sender, key);
			local repeated = key and is_repeated(key);
			if key then remember(key, tonumber(entry.stamp) / 1000); end
			if not repeated then
				again = again + 1;
				stanza.im_again = true;
				run(route, stanza, { destroyed = true }, entry.sender);
			end
		end
	end
	if again > 0 then module:log("info", "Routed %d messages that an earlier run may not have routed", again); end
	routed = committed;
	mark_routed();
	local of_component = module:context(component);
	of_component:hook("component-authenticated", function (event) connected(event.session); end);
	of_component:hook("component-disconnected", function (event)
		if event.session.send == send then send = nil; end
	end);
end

module:hook_global("server-stopping", function ()
	if syncer then syncer.wait(function () return not flying and gathering.n == 0; end, flush); end
	if out then
		out:write(records.encode("R", ("%d"):format(routed)), records.encode("A", ("%d"):format(acked)));
		out:flush();
	end
end, 100);

local function start_or_stop()
	local ok, problem = xpcall(start, debug.traceback);
	if not ok then
		module:log("error", "The tap can't start: %s", problem);
		prosody.shutdown("the tap can't start", 1);
	end
end

if prosody.start_time then start_or_stop(); else module:hook_global("server-started", start_or_stop); end
