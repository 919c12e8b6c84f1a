-- Offline storage (spec xmpp.md §5): one file per user, a line per message, handed over in order and once, after the
-- first available presence. Everything in it is archived by the message service, too.
--
-- A stream that acknowledges what it gets (XEP-0198 or xmpp:shiku:ack) takes the file over as its spool and is sent it in
-- portions; the spool forgets what is acknowledged. Messages that come meanwhile wait at its end, so nothing overtakes;
-- also those for a stream that owes many acknowledgements. What is left when the stream ends goes back in front of the
-- user's file.

local lfs = require "lfs";
local st = require "util.stanza";
local jid_bare = require "util.jid".bare;
local new_cache = require "util.cache".new;
local now = require "util.time".now;
local records = module:require "im_records";
local read_body = module:require "im_body".read;
local stored = module:require "im_stored";

local folder = prosody.paths.data.."/offline";
local max_messages = module:get_option_number("im_offline_max_messages", 5000);
local max_age = module:get_option_number("im_offline_max_days", 30) * 86400;
local max_age_of_calls = 60; -- seconds
local portion, portion_bytes = 200, 512 * 1024; -- handed over without an acknowledgement
local compact_bytes = 8 * 1024 * 1024; -- done part of a spool

-- A stream with so many unacknowledged stanzas gets no more messages: they wait in its spool. Must leave room for
-- stanzas of other kinds in smacks_max_queue_size, what is beyond that is lost.
max_unacknowledged = 500;

lfs.mkdir(folder);

-- What makes no sense later: signalling of calls, typing, the presence of own devices.
local never = {};
for _, range in ipairs { { 101, 102 }, { 116, 118 }, { 121, 124 }, { 130, 136 }, { 200, 201 } } do
	for kind = range[1], range[2] do never[kind] = true; end
end
local calls = { [100] = true, [110] = true, [115] = true, [120] = true };

local counts = new_cache(20000); -- user → number of messages in his file
local known_keys = new_cache(50); -- user → set of the keys in his file

local function path_of(username) return folder.."/"..username..".log"; end

local function is_too_old(at, stanza)
	local body = read_body(stanza);
	local kind = body and body.type or 0;
	if now() - at > (calls[kind] and max_age_of_calls or max_age) then return true; end
	local expires = body and body.delete_time or 0;
	if expires >= 1e11 then expires = expires / 1000; end
	return expires > 0 and expires < now();
end

local function count_of(username)
	local count = counts:get(username);
	if count then return count; end
	stored.mend(path_of(username));
	count = 0;
	for line in stored.each_line(path_of(username)) do
		if stored.kind_of(line) == "M" then count = count + 1; end
	end
	counts:set(username, count);
	return count;
end

local function emptied(username)
	counts:set(username, 0);
	known_keys:set(username, nil);
end

local function drop_old(username)
	local count = 0;
	local ok = stored.rewrite(path_of(username), function (write)
		for line in stored.each_line(path_of(username)) do
			local kind, at, _, xml = stored.decode(line);
			local stanza = kind == "M" and records.line_to_stanza(xml);
			if stanza and not is_too_old(at, stanza) then
				write(line);
				count = count + 1;
			end
		end
	end);
	if ok then counts:set(username, count); end
end

local last_cleaned = new_cache(20000); -- user → when his full file was cleaned

local function has_room(username)
	if count_of(username) < max_messages then return true; end
	if now() - (last_cleaned:get(username) or 0) < 60 then return false; end
	last_cleaned:set(username, now());
	drop_old(username);
	return count_of(username) < max_messages;
end

-- Devices that lost the same message need one copy of it.
local function is_known(username, key)
	local keys = known_keys:get(username);
	if not keys then
		keys = {};
		for line in stored.each_line(path_of(username)) do
			local _, _, known = stored.decode(line);
			if known then keys[known] = true; end
		end
		known_keys:set(username, keys);
	end
	return keys[key];
end

-- event.lost: it was on its way to a stream that has ended. stanza.im_again: routed before a crash, perhaps.
module:hook("message/offline/handle", function (event)
	local stanza, username = event.stanza, event.username;
	if not username:match("^%d+$") then return true; end
	local body = read_body(stanza);
	if not body or never[body.type] then return true; end
	local key = stored.key_of(stanza);
	if (event.lost or stanza.im_again) and key ~= "" and is_known(username, key) then return true; end
	if not has_room(username) then return true; end
	local ok, problem = stored.append(path_of(username), stored.encode("M", stanza));
	if not ok then
		module:log("error", "Offline message of %s can't be stored: %s", username, problem);
		return true;
	end
	counts:set(username, count_of(username) + 1);
	local keys = known_keys:get(username);
	if keys then keys[key] = true; end
	return true;
end, 10);

local function add_delay(stanza, at)
	if stanza:get_child("delay", "urn:xmpp:delay") then return; end
	stanza:tag("delay", {
		xmlns = "urn:xmpp:delay", from = module.host, stamp = os.date("!%Y-%m-%dT%H:%M:%SZ", at // 1),
	}):up();
end

-- To a stream that acknowledges nothing.
local function hand_over_at_once(session)
	local username = session.username;
	for line in stored.each_line(path_of(username)) do
		local kind, at, _, xml = stored.decode(line);
		local stanza = kind == "M" and records.line_to_stanza(xml);
		if not stanza then
			module:log("error", "A stored message of %s is damaged", username);
		elseif not is_too_old(at, stanza) then
			add_delay(stanza, at);
			session.send(stanza);
		end
	end
	os.remove(path_of(username));
	emptied(username);
end

-- Spools: { path, size, read_at, done_at, live_from, waiting, entries, first, last, bytes, unmarked, acked_h }. Bytes before
-- done_at are acknowledged, those before read_at sent; those from live_from on came while the stream was there.
-- session.im_held: messages wait in it. Once all are sent, later ones pass it by; it goes when all are acknowledged.

local spool_count = 0;

local function new_spool(session, size, waiting)
	spool_count = spool_count + 1;
	session.im_spool = {
		path = ("%s/%s.%d.spool"):format(folder, session.username, spool_count), size = size, read_at = 0, done_at = 0,
		live_from = size, waiting = waiting, entries = {}, first = 1, last = 0, bytes = 0, unmarked = 0, acked_h = 0,
	};
	return session.im_spool;
end

local function write_spool(spool, line)
	local ok, problem = stored.append(spool.path, line);
	if ok then
		spool.size = spool.size + #line;
	else
		module:log("error", "%s can't be written: %s", spool.path, problem);
	end
	return ok;
end

local function add_entry(spool, entry)
	spool.last = spool.last + 1;
	spool.entries[spool.last] = entry;
	spool.bytes = spool.bytes + entry.bytes;
end

-- The number XEP-0198 gave the last stanza.
local function last_h(session)
	local queue = session.smacks and session.outgoing_stanza_queue;
	return queue and queue:count_acked() + queue:count_unacked();
end

-- How the acknowledgement of what was sent last will be known: { h } or { id }; nothing when there will be none.
local function awaited(session, stanza)
	if not session.im_shiku then return { h = last_h(session) }; end
	local id = stanza.attr.id;
	return session.im_shiku.by_id[id or ""] and { id = id };
end

local function is_acknowledged(session, entry)
	if entry.h then return entry.h <= session.im_spool.acked_h; end
	return not (session.im_shiku and session.im_shiku.by_id[entry.id]);
end

-- Sends what the window has room for.
local function pump(session)
	local spool = session.im_spool;
	if not spool or not session.im_held or session.hibernating then return; end
	local file = io.open(spool.path, "rb");
	if not file then return; end
	file:seek("set", spool.read_at);
	while spool.last - spool.first + 1 < portion and spool.bytes < portion_bytes do
		local line = file:read("L");
		if not line then
			session.im_held = nil;
			break;
		end
		local kind, at, _, xml = stored.decode(line);
		local is_live = spool.read_at >= spool.live_from;
		local stanza = xml and (kind == "M" or is_live) and records.line_to_stanza(xml);
		local upto = spool.read_at + #line;
		if stanza and not is_too_old(at, stanza) then
			if not is_live then add_delay(stanza, at); end
			if not session.send(stanza) or session.destroyed then break; end
		else
			stanza = nil;
		end
		local entry = stanza and awaited(session, stanza);
		if entry then
			entry.bytes, entry.at, entry.upto = #line, spool.read_at, upto;
			add_entry(spool, entry);
		elseif spool.last >= spool.first then
			spool.entries[spool.last].upto = upto;
		else
			spool.done_at = upto;
		end
		spool.read_at = upto;
		if xml then spool.waiting = spool.waiting - 1; end
	end
	file:close();
end

local function compact(spool)
	local cut = spool.done_at;
	local ok, problem = stored.rewrite(spool.path, function (write)
		for line in stored.each_line(spool.path, cut) do
			if stored.kind_of(line) == "D" then line = line:gsub("[^\n]", " "); end -- offsets stay, marks are void
			write(line);
		end
	end);
	if not ok then return module:log("error", "%s can't be written: %s", spool.path, problem); end
	for _, name in ipairs { "size", "read_at", "done_at", "live_from" } do spool[name] = math.max(0, spool[name] - cut); end
	for i = spool.first, spool.last do
		local entry = spool.entries[i];
		entry.at, entry.upto = entry.at - cut, entry.upto - cut;
	end
end

-- Forgets what was acknowledged and goes on with the next messages.
function advance(session)
	local spool = session.im_spool;
	while spool.first <= spool.last and is_acknowledged(session, spool.entries[spool.first]) do
		local entry = spool.entries[spool.first];
		spool.entries[spool.first] = nil;
		spool.first = spool.first + 1;
		spool.bytes = spool.bytes - entry.bytes;
		spool.done_at = entry.upto;
		spool.unmarked = spool.unmarked + 1;
	end
	pump(session);
	if session.im_spool ~= spool then return; end -- the stream ended meanwhile
	if not session.im_held and spool.first > spool.last then
		session.im_spool = nil;
		os.remove(spool.path);
	elseif spool.unmarked >= portion / 4 then
		spool.unmarked = 0;
		if spool.done_at > compact_bytes then compact(spool); end
		write_spool(spool, stored.encode_done(spool.done_at));
	end
end

-- What the stream was sent but has not acknowledged, and no spool knows yet.
local function unacknowledged(session)
	local found, in_spool = {}, {};
	local spool, queue, shiku = session.im_spool, session.smacks and session.outgoing_stanza_queue, session.im_shiku;
	for i = spool.first, spool.last do
		local entry = spool.entries[i];
		in_spool[entry.h or entry.id] = true;
	end
	if shiku then
		for number = shiku.first, shiku.last do
			local item = shiku.items[number];
			if item and not in_spool[item.id] then found[#found + 1] = { id = item.id, stanza = item.stanza }; end
		end
		return found;
	end
	if not queue then return found; end
	local before_first = last_h(session) - queue._queue:count(); -- the oldest may have been pushed out
	for i, stanza in queue:resume() do
		local h = before_first + i;
		if in_spool[h] then stanza.im_stored = true; else found[#found + 1] = { h = h, stanza = stanza }; end
	end
	return found;
end

-- May the message be stored for the user's next stream when this one is lost?
function is_kept(session, stanza)
	local kind = stanza.attr.type;
	return stanza.name == "message" and (kind == nil or kind == "chat" or kind == "normal") and stanza:get_child("body") ~= nil
		and jid_bare(stanza.attr.from) ~= session.username.."@"..module.host;
end

-- Instead of sending a message now: it follows what waits for this stream. Returns whether the stream will get it.
function hold(session, stanza)
	local spool = session.im_spool or new_spool(session, 0, 0);
	if spool.waiting >= 2 * max_messages then return false; end
	if not session.im_held then
		-- What was sent without the spool is older than what waits in it from now on.
		for _, item in ipairs(unacknowledged(session)) do
			if is_kept(session, item.stanza) and not never[read_body(item.stanza).type] then
				local line = stored.encode("M", item.stanza);
				if write_spool(spool, line) then
					add_entry(spool, { h = item.h, id = item.id, bytes = #line, at = spool.size - #line, upto = spool.size });
				end
			end
		end
		spool.read_at = spool.size;
	end
	if not write_spool(spool, stored.encode(never[read_body(stanza).type] and "T" or "M", stanza)) then
		return session.send(stanza);
	end
	spool.waiting = spool.waiting + 1;
	session.im_held = true;
	pump(session);
	return true;
end

-- The rest of a spool, from a byte on and without the lines at the positions in `done`, goes in front of the user's file.
local function give_back(username, path, from, done)
	local count, keys = 0, {};
	local function copy(write, line)
		local kind, _, key = stored.decode(line);
		if kind ~= "M" or count >= max_messages or keys[key] then return; end
		if key ~= "" then keys[key] = true; end
		count = count + 1;
		write(line);
	end
	local ok, problem = stored.rewrite(path_of(username), function (write)
		local at = from;
		for line in stored.each_line(path, from) do
			if not done or not done[at] then copy(write, line); end
			at = at + #line;
		end
		for line in stored.each_line(path_of(username)) do copy(write, line); end
	end);
	if not ok then return module:log("error", "%s can't be given back: %s", path, problem); end
	os.remove(path);
	counts:set(username, count);
	known_keys:set(username, nil);
end

-- Fired by mod_presence for the first available presence with a priority that is not negative.
module:hook("message/offline/broadcast", function (event)
	local session = event.origin;
	local username = session.username;
	local count = count_of(username);
	if count == 0 then return true; end
	if not session.smacks and not session.im_shiku then
		hand_over_at_once(session);
		return true;
	end
	local spool, problem = session.im_spool, nil;
	if spool then -- it was unavailable for a while
		for line in stored.each_line(path_of(username)) do write_spool(spool, line); end
		os.remove(path_of(username));
		spool.live_from, spool.waiting = spool.size, spool.waiting + count;
	else
		spool = new_spool(session, lfs.attributes(path_of(username), "size"), count);
		_, problem = os.rename(path_of(username), spool.path);
	end
	if problem then
		session.im_spool = nil;
		module:log("error", "Offline messages of %s can't be handed over: %s", username, problem);
		return true;
	end
	emptied(username);
	session.im_held = true;
	advance(session);
	return true;
end, 10);

for _, xmlns in ipairs { "urn:xmpp:sm:3", "urn:xmpp:sm:2" } do
	module:hook("stanza/"..xmlns..":a", function (event)
		local session = event.origin;
		local h = session.im_spool and tonumber(event.stanza.attr.h);
		if not h or not session.smacks or h > last_h(session) then return; end
		session.im_spool.acked_h = h;
		advance(session);
	end, 10);
end

module:hook("smacks-hibernation-end", function (event)
	local session = event.resumed;
	if not session.im_spool then return; end
	session.im_spool.acked_h = session.outgoing_stanza_queue:count_acked();
	advance(session);
end);

-- Before mod_smacks reports what was not acknowledged: the spool has its part of it.
module:hook("pre-resource-unbind", function (event)
	if event.session.im_spool then unacknowledged(event.session); end
end, 10);

module:hook("resource-unbind", function (event)
	local session = event.session;
	local spool = session.im_spool;
	if not spool then return; end
	local done = {};
	for i = spool.first, spool.last do
		if is_acknowledged(session, spool.entries[i]) then done[spool.entries[i].at] = true; end
	end
	session.im_spool, session.im_held = nil, nil;
	give_back(session.username, spool.path, spool.done_at, done);
end);

module:hook_global("server-stopping", function ()
	for _, user in pairs(prosody.hosts[module.host].sessions) do
		for _, session in pairs(user.sessions) do
			if session.im_spool then unacknowledged(session); end
		end
	end
end, -80); -- mod_smacks: -90

-- Spools that a crash left, the newest first.
do
	local left = {};
	for name in lfs.dir(folder) do
		local username, number = name:match("^(%d+)%.(%d+)%.spool$");
		if username then left[#left + 1] = { username = username, number = tonumber(number), path = folder.."/"..name }; end
	end
	table.sort(left, function (a, b) return a.number > b.number; end);
	for _, spool in ipairs(left) do
		local done_at = 0;
		for line in stored.each_line(spool.path) do
			local kind, offset = stored.decode(line);
			if kind == "D" then done_at = offset; end
		end
		give_back(spool.username, spool.path, done_at);
	end
end

module:add_feature("msgoffline");
