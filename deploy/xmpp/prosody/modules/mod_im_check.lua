-- Checks client messages before anything else sees them (spec xmpp.md §8, single chats). A refused message is answered
-- with an error and goes nowhere. Runs in the sender's stream and may wait for a service: his next stanzas wait, too,
-- so nothing is reordered.
--
-- Also decides what the tap keeps: stanza.im_keep is set for messages with a body to a user who exists.

local st = require "util.stanza";
local jid = require "util.jid";
local services = module:depends("im_services");
local read_body = module:require "im_body".read;

local max_body = 64 * 1024;

local function ranges(...)
	local set = {};
	for _, range in ipairs { ... } do
		for kind = range[1], range[2] or range[1] do set[kind] = true; end
	end
	return set;
end

-- Sent by the server only. 916 from a client is a request to join a room.
local server_only = ranges({ 83 }, { 86 }, { 88, 93 }, { 97 }, { 301, 304 }, { 401, 403 }, { 506 }, { 511, 515 }, { 800, 803 }, { 901, 935 });
server_only[916] = nil;

-- Types whose sender needs some relation to the receiver, and the class they are decided by.
local class_of = {};
for kind = 1, 136 do class_of[kind] = "talk"; end
for _, kind in ipairs { 500, 501, 502, 503, 507, 508, 510, 916 } do class_of[kind] = tostring(kind); end

local recall = 202;
local max_recalled = 1000;

-- The ids a recall notice names, without doubles; nil when there are too many.
local function recalled_ids(content)
	if math.type(content) == "integer" then content = ("%d"):format(content); end
	local ids, known = {}, {};
	for id in (type(content) == "string" and content or ""):gmatch("[^,]+") do
		id = id:match("^%s*(.-)%s*$");
		if id ~= "" and not known[id] then
			if #ids == max_recalled then return nil; end
			ids[#ids + 1], known[id] = id, true;
		end
	end
	return ids;
end

local function refuse(event, kind, condition, text)
	if event.origin.send then event.origin.send(st.error_reply(event.stanza, kind, condition, text)); end
	return true;
end

local error_types = { ["not-allowed"] = "cancel", ["service-unavailable"] = "cancel", ["forbidden"] = "auth", ["resource-constraint"] = "wait" };

local function check_message(event)
	local origin, stanza = event.origin, event.stanza;
	if stanza.im_routed or (origin.type ~= "c2s" and not origin.destroyed) then return; end
	local kind = stanza.attr.type;
	if kind == "error" then return; end
	local body = read_body(stanza);
	if not body then return; end
	if #body.text > max_body then return refuse(event, "modify", "policy-violation", "The body is longer than 64 KiB"); end
	local bodies = 0;
	for _, child in ipairs(stanza.tags) do
		if child.name == "body" then bodies = bodies + 1; end
	end
	if bodies > 1 then return refuse(event, "modify", "bad-request", "A message has one body"); end
	if kind == "groupchat" then return; end -- rooms have their own rules

	local sender = jid.node(stanza.attr.from); -- the stream may have ended while an earlier check waited
	local receiver, host = sender, module.host;
	if stanza.attr.to then receiver, host = jid.split(stanza.attr.to); end
	if host ~= module.host then return; end -- refused by routing
	if not receiver then return refuse(event, "cancel", "service-unavailable", "Messages go to users"); end

	-- Devices of one user tell each other what they want.
	if receiver ~= sender then
		if body.from_user_id and body.from_user_id ~= sender then
			return refuse(event, "cancel", "not-allowed", "fromUserId is not the sender");
		end
		if server_only[body.type] then
			return refuse(event, "cancel", "not-allowed", "Messages of this type are sent by the server");
		end
		local state = services.user_state(receiver);
		if state == nil then return refuse(event, "wait", "resource-constraint", "The receiver can't be looked up now"); end
		if state ~= "active" then return refuse(event, "cancel", "service-unavailable", "There is no such user"); end
		local class, message_ids = class_of[body.type], nil;
		if body.type == recall then
			message_ids = recalled_ids(body.content);
			if not message_ids then return refuse(event, "cancel", "not-allowed", "Too many messages are recalled at once"); end
			class = #message_ids > 0 and "recall" or nil; -- a notice without ids changes nothing
		end
		if class then
			local verdict = services.check(sender, receiver, body.type, class, message_ids);
			if not verdict then return refuse(event, "wait", "resource-constraint", "The message can't be checked now"); end
			if not verdict.allow then
				local condition = error_types[verdict.condition] and verdict.condition or "not-allowed";
				return refuse(event, error_types[condition], condition, verdict.text or "The receiver does not take this message");
			end
		end
	end
	stanza.im_keep = true;
end

for _, target in ipairs { "bare", "full", "host" } do module:hook("pre-message/"..target, check_message, 50); end
