-- What a client sends: every message, presence to somebody and iq to the rooms becomes an entry of the log, whatever is in
-- it; the rest is answered here. Nothing is routed by Prosody.

local st = require "util.stanza";
local jid_host = require "util.jid".host;
local now = require "util.time".now;
local xml = module:require "im_xml";
local log = module:depends("im_log");
module:depends("im_streams");
local limits = module:depends("im_limits");

local NS = "urn:yingchuang:im:3";
local host, rooms = module.host, "muc."..module.host;
local carbons = "urn:xmpp:carbons:2";
local longest_id = 1023; -- bytes: answers and deliveries name it, escaped twice
local most_levels = 100; -- of elements in each other: whoever reads or writes them needs as many calls in each other

local function refuse(session, stanza, kind, condition, text)
	local is_answer = stanza.attr.type == "error" or stanza.name == "iq" and stanza.attr.type == "result";
	if not is_answer and session.send then session.send(st.error_reply(stanza, kind, condition, text)); end
	return true;
end

local function is_deeper(element, levels)
	for _, child in ipairs(element.tags) do
		if levels == 0 or is_deeper(child, levels - 1) then return true; end
	end
	return false;
end

local function settled(entry)
	local stream = entry.stream;
	stream.pending = stream.pending - 1;
	module:fire_event("im-entry-settled", entry);
	stream:finish_end();
end

local function take(session, stanza, stream, to)
	local rest = ("xmlns='%s' stamp='%d' stream='%s' from='%s'>%s</entry>"):format(
		NS, now() * 1000 // 1 | 0, stream.id, xml.escape_attribute(stream.jid), xml.client_stanza_to_line(stanza, to));
	if not limits.admit(session, stream, stanza, #rest) then
		return refuse(session, stanza, "wait", "resource-constraint", "Too much is sent");
	end
	if #(stanza.attr.id or "") > longest_id then return refuse(session, stanza, "modify", "bad-request", "The id is too long"); end
	local entry = { stream = stream, name = stanza.name, h = stream.sm and stream.sm.read, generation = stream.sm and stream.sm.generation };
	stream.pending = stream.pending + 1;
	local taken = log.append(rest, function (seq)
		stream.last_seq = seq;
		settled(entry);
	end, function (is_void)
		-- After a resume the client has sent it again. Where it may come back, nobody can say what became of it.
		local is_current = not stream.sm or entry.generation == stream.sm.generation;
		if not is_void then
			stream:close { condition = "internal-server-error", text = "It is not known what became of the last messages" };
		elseif is_current and not stream.ended then
			refuse(stream.session, stanza, "wait", "internal-server-error", "The message could not be stored");
		end
		settled(entry);
	end);
	if not taken then
		stream.pending = stream.pending - 1;
		limits.pause(session, 1);
		return refuse(session, stanza, "wait", "resource-constraint", "Too much is waiting to be stored");
	end
	module:fire_event("im-entry-taken", entry);
	if log.is_slow() then limits.pause(session, 0.2); end
	return true;
end

-- Availability is between the client and us; it is told to this stream alone (spec xmpp.md §11).
local function take_presence(session, stanza, stream)
	local kind = stanza.attr.type;
	local before = stream.priority;
	if kind == "unavailable" then
		stream.priority = nil;
	elseif kind == nil then
		local priority = math.tointeger(tonumber(stanza:get_child_text("priority") or 0)) or 0;
		stream.priority = math.max(-128, math.min(127, priority));
		stanza.attr.to, stanza.attr.from = stream.jid, stream.jid;
		session.send(stanza);
	end
	if stream.priority ~= before then stream:changed(); end
	return true;
end

module:hook("pre-stanza", function (event)
	local session, stanza = event.origin, event.stanza;
	local stream, to, name = session.im_stream, stanza.attr.to, stanza.name;
	if not stream then return; end
	if is_deeper(stanza, most_levels) then
		limits.admit(session, stream, stanza, 0);
		return refuse(session, stanza, "modify", "bad-request", "Its elements are too deep in each other");
	end
	if name == "message" then
		return take(session, stanza, stream, to or stream.user.."@"..host);
	elseif name == "presence" then
		if to then return take(session, stanza, stream, to); end
		return limits.admit(session, stream, stanza, 0) and take_presence(session, stanza, stream) or true;
	elseif to and jid_host(to) == rooms then
		return take(session, stanza, stream, to);
	elseif not limits.admit(session, stream, stanza, 0) then
		return refuse(session, stanza, "wait", "resource-constraint", "Too much is sent");
	elseif to and to ~= host then -- another user, the component, elsewhere
		return refuse(session, stanza, "cancel", "service-unavailable");
	end
end, 100);

-- Nothing is kept here: the roster, private data and vcards are as empty as they were asked for, and can't be changed.
for _, query in ipairs { "jabber:iq:roster:query", "jabber:iq:private:query", "vcard-temp:vCard" } do
	module:hook("iq/self/"..query, function (event)
		local session, stanza = event.origin, event.stanza;
		if stanza.attr.type == "set" then return refuse(session, stanza, "cancel", "not-allowed", "This is kept by the HTTP API"); end
		local content = st.clone(stanza.tags[1]);
		content.attr = { xmlns = content.attr.xmlns };
		session.send(st.reply(stanza):add_child(content));
		return true;
	end);
end

-- Carbons are made by the message service.
module:add_feature(carbons);
for _, name in ipairs { "enable", "disable" } do
	module:hook("iq-set/self/"..carbons..":"..name, function (event)
		local stream = event.origin.im_stream;
		stream.carbons = name == "enable";
		stream:changed();
		event.origin.send(st.reply(event.stanza));
		return true;
	end);
end
