-- Rules of every client stream: at most ten resources a user, silent streams pinged and then closed, rate limits that
-- delay reading, no way from clients to the component, connections that go on after a pause, and carriage returns that
-- survive XML.

local st = require "util.stanza";
local async = require "util.async";
local filters = require "util.filters";
local new_throttle = require "util.throttle".create;
local new_cache = require "util.cache".new;
local new_id = require "util.id".short;
local now = require "util.time".now;
local jid_host = require "util.jid".host;

local component = module:get_option_string("im_component");
local max_resources = module:get_option_number("im_max_resources", 10);
local factor = module:get_option_number("im_limit_factor", 1);

-- How stanzas become XML, in place of Prosody's way: XML parsers turn a literal carriage return into a newline, as a
-- reference it stays what the sender wrote; and half of the time. An element with im_xml is that text: the tap sets it
-- for children that many streams get.
do
	local find, gsub, match, concat = string.find, string.gsub, string.match, table.concat;
	local special = "['&<>\"\r]";
	local entities = {
		["'"] = "&apos;", ["\""] = "&quot;", ["<"] = "&lt;", [">"] = "&gt;", ["&"] = "&amp;", ["\r"] = "&#13;",
	};
	local function escape(text)
		if not find(text, special) then return text; end
		return (gsub(text, special, entities));
	end

	local function write(element, parts, n, parent_xmlns)
		if element.im_xml then
			parts[n + 1] = element.im_xml;
			return n + 1;
		end
		local name, attr, prefixes = element.name, element.attr, 0;
		n = n + 1;
		parts[n] = "<"..name;
		for key, value in next, attr do
			if find(key, "\1", 1, true) then -- of a namespace
				local xmlns, local_name = match(key, "^([^\1]*)\1?(.*)$");
				prefixes = prefixes + 1;
				n = n + 1;
				parts[n] = " xmlns:ns"..prefixes.."='"..escape(xmlns).."' ns"..prefixes..":"..local_name.."='"..escape(value).."'";
			elseif key ~= "xmlns" or value ~= parent_xmlns then
				n = n + 1;
				parts[n] = " "..key.."='"..escape(value).."'";
			end
		end
		if #element == 0 then
			parts[n + 1] = "/>";
			return n + 1;
		end
		n = n + 1;
		parts[n] = ">";
		local xmlns = attr.xmlns;
		for i = 1, #element do
			local child = element[i];
			if child.name then
				n = write(child, parts, n, xmlns);
			else
				n = n + 1;
				parts[n] = escape(child);
			end
		end
		parts[n + 1] = "</"..name..">";
		return n + 1;
	end

	local stanzas = getmetatable(st.stanza("x"));
	function stanzas.__tostring(stanza)
		local parts = {};
		write(stanza, parts, 0, nil);
		return concat(parts);
	end

	-- Prosody writes the first tag of every stanza for its debug log, also when nobody reads it.
	if not module:get_option_boolean("im_debug_log") then
		local top_tag = stanzas.top_tag;
		local names = { message = "<message>", presence = "<presence>", iq = "<iq>" };
		function stanzas.top_tag(stanza) return names[stanza.name] or top_tag(stanza); end
	end
end

module:hook("pre-resource-bind", function (event)
	local session = event.session;
	local user = prosody.hosts[module.host].sessions[session.username];
	if not user or (event.resource and user.sessions[event.resource]) then return; end
	local count = 0;
	for _ in pairs(user.sessions) do count = count + 1; end
	if count >= max_resources then
		event.error = { type = "wait", condition = "resource-constraint", text = "Too many resources of this user" };
		return false;
	end
end);

-- Silent streams

local function heard(data, session)
	session.im_pinged = nil;
	return data;
end

-- Prosody 0.12.3 forgets input: what a paused connection had read ahead is not looked at when it is resumed, and the
-- stream stands still until its client sends more. Every check that waits pauses its stream.
local repaired;

local function repair_resume(connection)
	repaired = true;
	local interface = getmetatable(connection).__index;
	local resume = interface.resume;
	function interface:resume()
		local result = resume(self);
		if self.conn and self.conn.dirty and self.conn:dirty() then self:pausefor(1e-6); end -- then reads what is there
		return result;
	end
end

filters.add_filter_hook(function (session)
	if not repaired and session.conn then repair_resume(session.conn); end
	if session.type == "c2s_unauthed" or session.type == "c2s" then filters.add_filter(session, "bytes/in", heard, 1000); end
end);

-- Fires after half of the silence (network_settings.read_timeout). An answer of false closes the stream.
module:hook("c2s-read-timeout", function (event)
	local session = event.session;
	if session.im_pinged then return false; end
	session.im_pinged = true;
	if session.full_jid then
		session.send(st.iq({ type = "get", id = "ping-"..new_id(), from = module.host, to = session.full_jid })
			:tag("ping", { xmlns = "urn:xmpp:ping" }));
	end
	return true;
end, 100);

-- Rate limits: 50 stanzas/s of a stream (2,000 at once), 20 messages/s of a user (100 at once). Over the limit reading
-- waits; who stays over it for ten seconds gets errors, too.

local messages_of = new_cache(20000); -- user → throttle

local function wait_for_turn(throttle)
	while not throttle:poll(1) do
		throttle.slow_since = throttle.slow_since or now();
		if not async.ready() then return true; end
		async.sleep(1 / throttle.rate);
		if now() - throttle.slow_since > 10 then return false; end
	end
	if throttle.slow_since and throttle:peek(throttle.max / 2) then throttle.slow_since = nil; end
	return true;
end

local function refuse(event)
	local stanza = event.stanza;
	if event.origin.send and stanza.attr.type ~= "error" and stanza.attr.type ~= "result" then
		event.origin.send(st.error_reply(stanza, "wait", "resource-constraint", "Too many stanzas"));
	end
	return true;
end

local function limit_stream(event)
	local session, stanza = event.origin, event.stanza;
	if session.type ~= "c2s" or stanza.im_routed then return; end
	local throttle = session.im_throttle;
	if not throttle then
		throttle = new_throttle(2000 * factor, 40);
		session.im_throttle = throttle;
	end
	if not wait_for_turn(throttle) then return refuse(event); end
end

local function limit_user(event)
	local session, stanza = event.origin, event.stanza;
	local username = session.username;
	if session.type ~= "c2s" or not username or stanza.im_routed or not stanza:get_child("body") then return; end
	local throttle = messages_of:get(username);
	if not throttle then
		throttle = new_throttle(100 * factor, 5);
		messages_of:set(username, throttle);
	end
	if not wait_for_turn(throttle) then return refuse(event); end
end

if factor > 0 then
	module:hook("pre-stanza", limit_stream, 100);
	for _, target in ipairs { "bare", "full", "host" } do module:hook("pre-message/"..target, limit_user, 60); end
end

-- The component is for services.

local function refuse_component(event)
	local stanza = event.stanza;
	local to = stanza.attr.to;
	if not to or not to:find(component, 1, true) or jid_host(to) ~= component then return; end
	if stanza.attr.type ~= "error" and stanza.attr.type ~= "result" then
		event.origin.send(st.error_reply(stanza, "cancel", "service-unavailable"));
	end
	return true;
end

for _, name in ipairs { "message", "iq", "presence" } do
	for _, target in ipairs { "host", "bare", "full" } do module:hook("pre-"..name.."/"..target, refuse_component, 90); end
end
