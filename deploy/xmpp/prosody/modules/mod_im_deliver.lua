-- What the message service sends: stanzas to streams, written byte for byte, and orders about streams.

local st = require "util.stanza";
local streams = module:depends("im_streams");
local feed = module:depends("im_feed");

local NS = "urn:yingchuang:im:3";
local names = { message = true, presence = true, iq = true };

local all = streams.streams;
local handlers = {};
-- What is to be written when the message is read: stream → its frame, or a list of them. Nearly all get one: a list for each
-- would take as much memory as the texts.
local due = {};

-- <deliver to='s:k s:k …' name='message' id='' expect='1'>TEXT</deliver>
function handlers.deliver(element)
	local attr = element.attr;
	local frame = { name = attr.name, rest = element:get_text(), id = attr.id, expect = attr.expect == "1" and attr.id ~= nil };
	if not names[frame.name] or not frame.rest then
		module:log("error", "A delivery without a name or a text");
		return;
	end
	for id, k in attr.to:gmatch("([^%s:]+):?(%d*)") do
		local stream = all[id];
		if stream and stream:take(frame, math.tointeger(tonumber(k))) then
			local before = due[stream];
			if not before then
				due[stream] = frame;
			elseif before.rest then
				due[stream] = { before, frame };
			else
				before[#before + 1] = frame;
			end
		end
	end
end

local function write_due()
	local written = due;
	due = {};
	for stream, frames in pairs(written) do
		local request = stream.sm and stream.sm:request();
		if frames.rest and stream.transport == "tcp" then
			stream.written = stream.delivered;
			stream:write(stream:xml(frames, request));
		else
			local texts = {};
			for i, frame in ipairs(frames.rest and { frames } or frames) do texts[i] = stream:xml(frame); end
			texts[#texts + 1] = request;
			-- A frame of a WebSocket is one element. An answer of BOSH takes all: what came after it would count as received too early.
			if stream.transport ~= "websocket" then texts = { table.concat(texts) }; end
			for i, text in ipairs(texts) do
				if i == #texts then stream.written = stream.delivered; end
				stream:write(text);
			end
		end
	end
end

-- <note to='s s …' name='' value=''/>: kept with the streams; without a value forgotten.
function handlers.note(element)
	local attr = element.attr;
	if not attr.name then return; end
	for id in attr.to:gmatch("%S+") do
		local stream = all[id];
		if stream then stream.notes[attr.name] = attr.value; end
	end
end

function handlers.stored(element) feed.stored(element.attr); end
function handlers.released(element) feed.released(element.attr); end

module:hook("message/host", function (event)
	if not feed.is_component(event.origin) then return; end
	for _, element in ipairs(event.stanza.tags) do
		local handle = element.attr.xmlns == NS and handlers[element.name];
		if handle then handle(element); end
	end
	write_due();
	feed.end_turn();
	return true;
end, 100);

local function order(name, carry_out)
	module:hook("iq-set/host/"..NS..":"..name, function (event)
		local origin, stanza = event.origin, event.stanza;
		local is_ours = feed.is_component(origin);
		if is_ours then carry_out(stanza.tags[1]); end
		origin.send(is_ours and st.reply(stanza) or st.error_reply(stanza, "auth", "forbidden"));
		return true;
	end);
end

order("note", handlers.note);

-- <close-streams user='' logins='t:… p:…' id='s …' condition='' text=''/>; without logins and id all of the user.
order("close-streams", function (element)
	local attr = element.attr;
	local wanted = (attr.logins or attr.id) and {};
	for word in ((attr.logins or "").." "..(attr.id or "")):gmatch("%S+") do wanted[word] = true; end
	for _, stream in ipairs(streams.streams_of(attr.user)) do
		if not wanted or wanted[stream.login] or wanted[stream.id] then
			stream:close { condition = attr.condition or "not-authorized", text = attr.text };
		end
	end
end);
