-- Lines of files that must survive a crash: each carries a checksum, so that what was torn is recognised.

local md5 = require "util.hashes".md5;
local parse = require "util.xml".parse;

local function sum(text) return md5(text, true):sub(1, 8); end

-- A line of this kind (one letter) and these fields (no tabs or newlines in them).
local function encode(kind, ...)
	local text = table.concat({ kind, ... }, "\t");
	return sum(text).."\t"..text.."\n";
end

-- The kind and the text of the fields of a line, or nil when the line is damaged.
local function decode(line)
	local check, text = line:match("^(%x%x%x%x%x%x%x%x)\t(.*)\n$");
	if not text or sum(text) ~= check then return nil; end
	return text:sub(1, 1), text:sub(3);
end

-- A stanza as one line of XML; carriage returns are already references (mod_im_streams).
local function stanza_to_line(stanza)
	local attr = stanza.attr;
	local xmlns = attr.xmlns;
	attr.xmlns = "jabber:client";
	local xml = tostring(stanza);
	attr.xmlns = xmlns;
	return xml:find("\n", 1, true) and xml:gsub("\n", "&#10;") or xml;
end

-- The parser names the namespace of every element; routing knows those of clients by having none.
local function drop_client_namespace(element)
	if element.attr.xmlns ~= "jabber:client" then return; end
	element.attr.xmlns = nil;
	for _, child in ipairs(element.tags) do drop_client_namespace(child); end
end

local function line_to_stanza(xml)
	local stanza, problem = parse(xml);
	if not stanza then return nil, problem; end
	drop_client_namespace(stanza);
	return stanza;
end

return { encode = encode, decode = decode, stanza_to_line = stanza_to_line, line_to_stanza = line_to_stanza };
