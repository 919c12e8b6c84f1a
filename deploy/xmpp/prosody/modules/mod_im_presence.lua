-- Presence is between a user and the server (spec xmpp.md §11): the message service is told which resources are
-- available; other users never are. There are no contacts: the roster is empty, changes of it are refused,
-- subscriptions ignored.

local st = require "util.stanza";
local jid = require "util.jid";
local now = require "util.time".now;

module:depends("presence");

local NS = "urn:yingchuang:im:1";
local component = module:get_option_string("im_component");
local per_message = 200; -- resources in one part of the snapshot

local send; -- to the component, while it is connected

local function to_component()
	return st.message({ from = module.host, to = component });
end

local function report(session, online)
	if not send then return; end
	send(to_component():tag("presence", {
		xmlns = NS, user = session.username, resource = session.resource, online = online and "1" or "0",
		stamp = ("%d"):format(now() * 1000 // 1),
	}));
end

local function send_snapshot()
	local available = {};
	for _, user in pairs(prosody.hosts[module.host].sessions) do
		for _, session in pairs(user.sessions) do
			if session.presence then available[#available + 1] = session; end
		end
	end
	local first = 1;
	repeat
		local last = math.min(first + per_message - 1, #available);
		local message = to_component():tag("presence-snapshot", { xmlns = NS, complete = last == #available and "1" or nil });
		for i = first, last do
			message:tag("resource", { user = available[i].username, resource = available[i].resource }):up();
		end
		send(message);
		first = last + 1;
	until first > #available;
end

module:hook("im-component-connected", function (event)
	send = event.send;
	send_snapshot();
end);

module:hook_global("server-started", function ()
	module:context(component):hook("component-disconnected", function (event)
		if event.session.send == send then send = nil; end
	end);
end);

-- Before mod_presence changes session.presence.
module:hook("presence/bare", function (event)
	local session, stanza = event.origin, event.stanza;
	if stanza.attr.to or not session.username then return; end
	local kind = stanza.attr.type;
	if kind == nil and not session.presence then
		report(session, true);
	elseif kind == "unavailable" and session.presence then
		report(session, false);
	end
end, 10);

-- To users: nothing passes, subscriptions included. To rooms (other hosts): joining and leaving.
local function keep_private(event)
	local stanza, session = event.stanza, event.origin;
	local to, kind = stanza.attr.to, stanza.attr.type;
	if not to or stanza.attr.from == nil then return; end
	if jid.host(to) == module.host then return true; end
	if kind ~= nil and kind ~= "unavailable" and kind ~= "error" then return true; end
	if not prosody.hosts[jid.host(to)] then
		if kind == nil and session.send then session.send(st.error_reply(stanza, "cancel", "item-not-found")); end
		return true;
	end
end

for _, target in ipairs { "host", "bare", "full" } do module:hook("pre-presence/"..target, keep_private, 10); end

module:hook("iq/self/jabber:iq:roster:query", function (event)
	if event.stanza.attr.type ~= "set" then return; end
	event.origin.send(st.error_reply(event.stanza, "cancel", "not-allowed", "Contacts are kept by the friends API"));
	return true;
end, 10);
