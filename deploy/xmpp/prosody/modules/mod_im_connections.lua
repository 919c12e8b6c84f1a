-- Rules of every client connection: at most ten resources a user; silent ones are pinged, then closed. And four repairs of
-- Prosody 0.12.3: how stanzas become XML, log texts that nobody reads or nobody may, and input that is forgotten after a pause.

local st = require "util.stanza";
local filters = require "util.filters";
local new_id = require "util.id".short;
local to_xml = module:require "im_xml".to_xml;

local max_resources = module:get_option_number("im_max_resources", 10);

module:hook("pre-resource-bind", function (event)
	local user = prosody.hosts[module.host].sessions[event.session.username];
	if not user or event.resource and user.sessions[event.resource] then return; end
	local count = 0;
	for _ in pairs(user.sessions) do count = count + 1; end
	if count < max_resources then return; end
	event.error = { type = "wait", condition = "resource-constraint", text = "Too many resources of this user" };
	return false;
end);

-- Silent streams

local function heard(data, session)
	session.im_pinged = nil;
	if session.im_stream then session.im_stream.unheard = nil; end
	return data;
end

-- What a paused connection had read ahead is looked at when it is resumed, not when its client sends more.
local repaired = false;

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
	if session.type ~= "c2s_unauthed" then return; end
	if not repaired and session.conn then repair_resume(session.conn); end
	filters.add_filter(session, "bytes/in", heard, 1000);
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

-- What nobody handles, Prosody writes into its log before it closes the stream: passwords, and messages in a wrong namespace.

local events = prosody.hosts[module.host].events;

local function close_unhandled(stanza, session)
	local xmlns = stanza.attr.xmlns;
	if not xmlns or events.get_handlers("stanza/"..xmlns..":"..stanza.name) then return stanza; end
	session:close("unsupported-stanza-type");
	return nil;
end

filters.add_filter_hook(function (session)
	if session.type == "c2s_unauthed" then filters.add_filter(session, "stanzas/in", close_unhandled, -1000); end
end);

module:hook("stanza/urn:ietf:params:xml:ns:xmpp-sasl:auth", function (event) -- after the login
	event.origin:close("unsupported-stanza-type");
	return true;
end, -1000);

-- XML

st.stanza_mt.__tostring = to_xml;

-- Prosody writes the first tag of every stanza for its debug log, also when nobody reads it.
if not module:get_option_boolean("im_debug_log") then
	local top_tag = st.stanza_mt.top_tag;
	local names = { message = "<message>", presence = "<presence>", iq = "<iq>" };
	function st.stanza_mt.top_tag(stanza) return names[stanza.name] or top_tag(stanza); end
end
