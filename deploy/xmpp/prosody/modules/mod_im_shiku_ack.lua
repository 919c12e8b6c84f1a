-- xmpp:shiku:ack (spec xmpp.md §4): on streams that ask for it, receivers confirm messages by their ids. What is not
-- confirmed is sent again to the same stream; with the stream's end it is the message service's again.

local filters = require "util.filters";
local st = require "util.stanza";
local monotonic = require "util.time".monotonic;
local streams = module:depends("im_streams");

local NS = "xmpp:shiku:ack";
local wait = module:get_option_number("im_shiku_ack_seconds", 15);
local max_tries = 10;

local methods = {};
local metatable = { __index = methods };

-- A delivery the client has to confirm. They stand in the order of their numbers.
function methods:expect(k, frame)
	self[#self + 1] = { k = k, frame = frame, at = monotonic(), tries = 0 };
end

function methods:first_missing() return self[1] and self[1].k; end

-- Deliveries that were not confirmed, in their order.
function methods:missing()
	local frames = {};
	for i, item in ipairs(self) do frames[i] = item.frame; end
	return frames;
end

-- Takes the messages with these ids out; an id may be that of several senders' messages.
function methods:confirm(ids)
	local kept = 0;
	for i = 1, #self do
		local item = self[i];
		self[i] = nil;
		if not ids[item.frame.id] then
			kept = kept + 1;
			self[kept] = item;
		end
	end
end

-- Apps add an <id/> beside the <body/>, and some leave out the id of the iq. Prosody refuses both.
local function mend(stanza, session)
	if stanza.name ~= "iq" or stanza.attr.type ~= "set" or not session.im_stream then return stanza; end
	local body = stanza:get_child("body", NS);
	if not body then return stanza; end
	stanza.attr.id = stanza.attr.id or "confirmed";
	return stanza:maptags(function (child) return child == body and child or nil; end);
end

module:hook("im-stream-connected", function (event)
	if event.stream.ack then filters.add_filter(event.session, "stanzas/in", mend); end
end);

module:hook("iq-set/host/"..NS..":enable", function (event)
	local session, stanza = event.origin, event.stanza;
	local stream = session.im_stream;
	if not stream then return; end
	if not stream.ack then
		stream.ack = setmetatable({}, metatable);
		filters.add_filter(session, "stanzas/in", mend);
		stream:changed();
	end
	session.send(st.reply(stanza):add_child(st.clone(stanza.tags[1])));
	return true;
end);

for _, target in ipairs { "self", "host" } do
	module:hook("iq-set/"..target.."/"..NS..":body", function (event)
		local session, stanza = event.origin, event.stanza;
		local stream = session.im_stream;
		if not stream or not stream.ack then return; end
		local ids = {};
		for id in (stanza.tags[1]:get_text() or ""):gmatch("[^,%s]+") do ids[id] = true; end
		stream.ack:confirm(ids);
		session.send(st.reply(stanza));
		stream:confirm();
		return true;
	end);
end

local function send_again(stream, time)
	for _, item in ipairs(stream.ack) do
		if time - item.at >= wait and item.tries < max_tries then
			item.at, item.tries = time, item.tries + 1;
			if stream:take(item.frame) then stream:write(stream:xml(item.frame)); end
			if stream.ending then return; end
		end
	end
end

module:add_timer(wait * 2 / 3, function ()
	local time = monotonic();
	for _, stream in pairs(streams.streams) do
		if stream.ack and stream.ack[1] and not stream.waiting and not stream.ending then send_again(stream, time); end
	end
	return wait * 2 / 3;
end);
