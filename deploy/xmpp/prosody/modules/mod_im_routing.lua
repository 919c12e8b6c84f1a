-- Who gets a chat message (spec xmpp.md §5), instead of mod_message's choice of the resource with the highest priority.

local st = require "util.stanza";
local jid = require "util.jid";
local offline = module:depends("im_offline");

local max_unacknowledged = offline.max_unacknowledged;
local full_sessions, bare_sessions = prosody.full_sessions, prosody.bare_sessions;
local receipts = "urn:xmpp:receipts";

local function is_chat(stanza)
	local kind = stanza.attr.type;
	return kind == nil or kind == "chat" or kind == "normal";
end

-- To one stream; returns false when it does not take it. Messages wait behind those that it has not got yet.
local function deliver(session, stanza)
	local queue = session.outgoing_stanza_queue;
	if (session.im_held or queue and queue:count_unacked() >= max_unacknowledged
		or (session.im_unconfirmed or 0) >= max_unacknowledged) and stanza:get_child("body") then
		return offline.hold(session, stanza);
	end
	return session.send(stanza);
end

-- To all other devices of the user; nothing is kept for those that are away.
local function to_own_devices(origin, stanza)
	local user = bare_sessions[origin.username.."@"..module.host];
	if not user then return; end
	stanza.attr.to = origin.username.."@"..module.host;
	for _, session in pairs(user.sessions) do
		if session.presence and session.full_jid ~= origin.full_jid then session.send(stanza); end
	end
end

local function to_user(origin, stanza, bare)
	local user = bare_sessions[bare];
	local taken;
	for _, session in pairs(user and user.sessions or {}) do
		if session.presence and session.priority >= 0 and deliver(session, stanza) then taken = true; end
	end
	if taken or not stanza:get_child("body") then return; end
	module:fire_event("message/offline/handle", { username = jid.node(bare), origin = origin, stanza = stanza });
end

module:hook("message/bare", function (event)
	local origin, stanza = event.origin, event.stanza;
	if not is_chat(stanza) then return; end
	if event.to_self and origin.username then
		to_own_devices(origin, stanza);
	else
		to_user(origin, stanza, stanza.attr.to);
	end
	return true;
end, 10);

module:hook("message/full", function (event)
	local origin, stanza = event.origin, event.stanza;
	if not is_chat(stanza) then return; end
	local to, from = stanza.attr.to, stanza.attr.from;
	local session = full_sessions[to];
	local bare = to:match("^[^/]*");
	if bare == from:match("^[^/]*") then -- a device of the sender; when it is gone nobody gets it
		if session then session.send(stanza); end
		return true;
	end
	if session and deliver(session, stanza) then return true; end
	if not stanza:get_child("body") and stanza:get_child("received", receipts) then return true; end
	to_user(origin, stanza, bare);
	return true;
end, 10);

-- A message to the own account has reached its devices by the rules above.
module:hook("carbons-should-copy", function (event)
	local stanza = event.stanza;
	if stanza.attr.to == nil or jid.bare(stanza.attr.to) == jid.bare(stanza.attr.from) then return false; end
end, 10);

-- What a stream took but never acknowledged (XEP-0198) is kept for the user's next stream; the sender hears nothing,
-- he has his receipt.
module:hook("delivery/failure", function (event)
	local session, stanza = event.session, event.stanza;
	if not session.username or stanza.name ~= "message" then return; end
	if not stanza.im_stored and offline.is_kept(session, stanza) then
		module:fire_event("message/offline/handle", {
			username = session.username, origin = session, stanza = stanza, lost = true,
		});
	end
	return true;
end, 10);
