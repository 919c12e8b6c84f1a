-- Stanzas as XML (im_xml): what a parser makes of the text is what the stanza was.

local tap = dofile(arg[0]:match("^(.*)/[^/]*$").."/tap.lua");
local xml = tap.load("im_xml");
local parse = require "util.xml".parse;

local every = "a&b<c>d\"e'f\r\n\tg ]]> h😀";

local function element(name, attr, ...)
	return { name = name, attr = attr, tags = {}, ... };
end

do
	local text = xml.to_xml(element("message", { id = every, to = "x" }, element("body", {}, every)));
	local parsed = parse(text);
	tap.equal(parsed.attr.id, every, "attributes keep every character");
	tap.equal(parsed.tags[1]:get_text(), every, "texts keep every character");
	tap.ok(text:find("\"e'f", 1, true), "quotes of texts are not escaped");
end

do
	local stanza = element("message", { from = "forged", to = "other", id = "1", ["xml:lang"] = "en" },
		"one\n", element("body", {}, "two\r\n"),
		element("x", { xmlns = "urn:x" }, element("y", { xmlns = "urn:x" }), element("z", { xmlns = "jabber:client" }), element("n", { xmlns = "" })));
	local line = xml.client_stanza_to_line(stanza, "10000001@d");
	tap.ok(not line:find("\n", 1, true), "an entry is one line");
	local parsed = parse("<entry xmlns='urn:e'>"..line.."</entry>").tags[1];
	tap.equal(parsed.attr.xmlns, "jabber:client", "the namespace is named");
	tap.equal(parsed.attr.to, "10000001@d", "the receiver is the one we took it for");
	tap.equal(parsed.attr.from, nil, "what the client says about itself is left out");
	tap.equal(parsed[1], "one\n", "text beside elements is kept");
	tap.equal(parsed.tags[1].attr.xmlns, "jabber:client", "children without a namespace are the client's");
	tap.equal(parsed.tags[1]:get_text(), "two\r\n", "newlines survive");
	tap.equal(parsed.tags[2].tags[1].attr.xmlns, "urn:x", "other namespaces are kept");
	tap.equal(parsed.tags[2].tags[2].attr.xmlns, "jabber:client", "and left again");
	tap.ok(line:find("<n xmlns=''/>", 1, true), "and absent where they were");
end

do
	local text = xml.to_xml(element("a", { ["urn:p\1q"] = "v" }));
	tap.equal(parse(text).attr["urn:p\1q"], "v", "attributes of a namespace are kept");
end

tap.finish();
