-- Stanzas as XML. Carriage returns survive (a parser turns a literal one into a newline), and so do newlines and tabs of
-- attributes; nothing else is escaped that need not be: each reference costs the parser that reads it a callback.

local find, gsub, match, concat = string.find, string.gsub, string.match, table.concat;

local entities = {
	["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ["\r"] = "&#13;", ["\n"] = "&#10;", ["\t"] = "&#9;", ["'"] = "&apos;",
};

local function escape_text(text)
	return find(text, "[&<>\r]") and gsub(text, "[&<>\r]", entities) or text;
end

local function escape_attribute(text)
	return find(text, "[&<>\r\n\t']") and gsub(text, "[&<>\r\n\t']", entities) or text;
end

local function write_attributes(attr, parts, n, parent_xmlns)
	local prefixes = 0;
	for key, value in next, attr do
		if find(key, "\1", 1, true) then -- of a namespace
			local xmlns, name = match(key, "^([^\1]*)\1?(.*)$");
			prefixes = prefixes + 1;
			n = n + 1;
			parts[n] = " xmlns:ns"..prefixes.."='"..escape_attribute(xmlns).."' ns"..prefixes..":"..name.."='"
				..escape_attribute(value).."'";
		elseif key ~= "xmlns" or value ~= parent_xmlns then
			n = n + 1;
			parts[n] = " "..key.."='"..escape_attribute(value).."'";
		end
	end
	return n;
end

local write;

local function write_content(element, parts, n, xmlns)
	if #element == 0 then
		parts[n + 1] = "/>";
		return n + 1;
	end
	n = n + 1;
	parts[n] = ">";
	for i = 1, #element do
		local child = element[i];
		if child.name then
			n = write(child, parts, n, xmlns);
		else
			n = n + 1;
			parts[n] = escape_text(child);
		end
	end
	parts[n + 1] = "</"..element.name..">";
	return n + 1;
end

function write(element, parts, n, parent_xmlns)
	parts[n + 1] = "<"..element.name;
	n = write_attributes(element.attr, parts, n + 1, parent_xmlns);
	return write_content(element, parts, n, element.attr.xmlns);
end

local function to_xml(stanza)
	local parts = {};
	write(stanza, parts, 0, nil);
	return concat(parts);
end

-- What comes after the `to` of a stanza to a client.
local function rest_of(stanza)
	local attr, parts = {}, {};
	for key, value in next, stanza.attr do
		if key ~= "to" and key ~= "xmlns" then attr[key] = value; end
	end
	write_content(stanza, parts, write_attributes(attr, parts, 0), nil);
	return concat(parts);
end

-- A stanza as its client sent it, as one line, for a place where jabber:client is not the namespace. What the client says
-- about its own address is left out.
local function client_stanza_to_line(stanza, to)
	local attr, parts = {}, { "<"..stanza.name.." xmlns='jabber:client'" };
	for key, value in next, stanza.attr do
		if key ~= "from" and key ~= "xmlns" and key ~= "xml:lang" then attr[key] = value; end
	end
	attr.to = to;
	write_content(stanza, parts, write_attributes(attr, parts, 1), "jabber:client");
	local xml = concat(parts);
	return find(xml, "\n", 1, true) and gsub(xml, "\n", "&#10;") or xml;
end

return {
	escape_text = escape_text, escape_attribute = escape_attribute, to_xml = to_xml, rest_of = rest_of, client_stanza_to_line = client_stanza_to_line,
};
