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

-- The fields of an object of plain texts and numbers, as almost all bodies are: a third of the time of util.json, which
-- reads character by character. nil for anything else, escapes included; util.json then decides.
local function read_plain(text)
	local _, at = text:find("^[ \t\r\n]*{[ \t\r\n]*");
	local fields = {};
	while at do
		local _, value_at, key, quote = text:find('^"([^"\\]*)"[ \t\r\n]*:[ \t\r\n]*("?)', at + 1);
		if not value_at or key == "__array" or key == "__hash" then return nil; end -- util.json gives those a meaning
		local _, last, value;
		if quote == "" then
			_, last, value = text:find("^(%-?%d[0-9%.%-eE%+]*)[ \t\r\n]*", value_at + 1);
			value = value and tonumber(value);
		else
			_, last, value = text:find('^([^"\\]*)"[ \t\r\n]*', value_at + 1);
		end
		if value == nil then return nil; end
		fields[key] = value;
		local mark = text:byte(last + 1);
		if mark == 0x7d then return not text:find("[^ \t\r\n]", last + 2) and fields or nil; end -- }
		if mark ~= 0x2c then return nil; end -- ,
		_, at = text:find("^[ \t\r\n]*", last + 2);
	end
end

-- Returns { text, type, message_id, from_user_id, delete_time, content } of a stanza with a body, or nil. Bodies that are no
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
		fields = read_plain(text);
		if not fields then
			local ok, decoded = pcall(json.decode, text);
			fields = ok and type(decoded) == "table" and decoded or nothing;
		end
	end
	local message_id = id_text(fields.messageId);
	stanza.im_body = {
		text = text;
		type = integer(fields.type) or 0;
		message_id = message_id and message_id ~= "" and message_id or stanza.attr.id;
		from_user_id = fields.fromUserId ~= json.null and fields.fromUserId ~= nil and (id_text(fields.fromUserId) or "?") or nil;
		delete_time = tonumber(fields.deleteTime);
		content = fields.content;
	};
	return stanza.im_body;
end

return { read = read };
