-- Files of stored messages: what offline storage and the spools of streams have in common. Lines (im_records):
--   M stamp key xml   a message; key = sender and messageId
--   T stamp key xml   in spools: a message for this stream only, worthless afterwards
--   D offset          in spools: everything before this byte is done

local jid_bare = require "util.jid".bare;
local now = require "util.time".now;
local records = module:require "im_records";
local read_body = module:require "im_body".read;

local function key_of(stanza)
	local body = read_body(stanza);
	local id = body and body.message_id;
	return id and ((jid_bare(stanza.attr.from) or "").." "..id):gsub("[%c<]", " ") or "";
end

local function encode(kind, stanza)
	return records.encode(kind, ("%d"):format(now() * 1000 // 1), key_of(stanza), records.stanza_to_line(stanza));
end

local function encode_done(offset) return records.encode("D", ("%d"):format(offset)); end

-- Kind, time in seconds, key and XML of a message; or "D" and the offset; or nothing when the line is damaged.
local function decode(line)
	local kind, text = records.decode(line);
	if kind == "D" then return kind, math.tointeger(tonumber(text)); end
	if kind ~= "M" and kind ~= "T" then return nil; end
	local at, key, xml = text:match("^(%d+)\t([^\t<]*)\t?(<.*)$");
	if not at then return nil; end
	return kind, tonumber(at) / 1000, key, xml;
end

-- Letter of the kind, without a look at the checksum.
local function kind_of(line) return line:sub(10, 10); end

-- One write: a crash leaves the line whole or absent.
local function append(path, line)
	local file, problem = io.open(path, "ab");
	if not file then return nil, problem; end
	file:setvbuf("full", #line + 1);
	local ok;
	ok, problem = file:write(line);
	local closed, close_problem = file:close();
	if ok and closed then return true; end
	return nil, problem or close_problem;
end

-- The lines from a byte on; none when there is no file.
local function each_line(path, from)
	local file = io.open(path, "rb");
	if not file then return function () end; end
	if from and from > 0 then file:seek("set", from); end
	return function ()
		local line = file and file:read("L");
		if not line and file then
			file:close();
			file = nil;
		end
		return line;
	end
end

-- Writes a file anew, whole or not at all: fill(write) is called once.
local function rewrite(path, fill)
	local file, problem = io.open(path..".new", "wb");
	if not file then return nil, problem; end
	local ok = true;
	fill(function (line)
		if ok then ok, problem = file:write(line); end
	end);
	local closed, close_problem = file:close();
	if ok and closed then ok, problem = os.rename(path..".new", path); end
	if ok and closed then return true; end
	os.remove(path..".new");
	return nil, problem or close_problem;
end

-- What a power failure tore must not swallow the line after it.
local function mend(path)
	local file = io.open(path, "rb");
	if not file then return; end
	local whole = file:seek("end") == 0 or (file:seek("end", -1) and file:read(1) == "\n");
	file:close();
	if not whole then append(path, "\n"); end
end

return {
	key_of = key_of, encode = encode, encode_done = encode_done, decode = decode, kind_of = kind_of, append = append,
	each_line = each_line, rewrite = rewrite, mend = mend,
};
