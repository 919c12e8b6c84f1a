-- The JSON body of a message (spec xmpp.md §2). The text itself is never changed.

local json = require "util.json";

local nothing = {};

local function integer(value)
	if type(value) == "string" then value = tonumber(value); end
	return math.type(value) and math.tointeger(value) or nil;
end

local function id_text(value)
	if type(value) == "string" then return value; end
	local number = integer(value);
	return number and ("%d"):format(number) or nil;
end

-- Returns { text, type, message_id, from_user_id, delete_time } of a stanza with a body, or nil. Bodies that are no
-- JSON object have type 0.
local function read(stanza)
	if stanza.im_body ~= nil then return stanza.im_body or nil; end
	local child = stanza:get_child("body");
	if not child then
		stanza.im_body = false;
		return nil;
	end
	local text = child:get_text() or "";
	local fields = nothing;
	if text:find("^%s*{") and #text <= 65536 then
		local ok, decoded = pcall(json.decode, text);
		if ok and type(decoded) == "table" then fields = decoded; end
	end
	local message_id = id_text(fields.messageId);
	stanza.im_body = {
		text = text;
		type = integer(fields.type) or 0;
		message_id = message_id and message_id ~= "" and message_id or stanza.attr.id;
		from_user_id = fields.fromUserId ~= json.null and fields.fromUserId ~= nil and (id_text(fields.fromUserId) or "?") or nil;
		delete_time = tonumber(fields.deleteTime);
	};
	return stanza.im_body;
end

return { read = read };
