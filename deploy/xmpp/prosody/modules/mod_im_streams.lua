-- The streams of clients as the message service knows them: each has an id for good, numbered deliveries, and how far its
-- client has confirmed them. A stream stays the same over a resume (mod_im_sm); its session, connection and login change.

local filters = require "util.filters";
local now = require "util.time".now;
local escape = module:require "im_xml".escape_attribute;

local most_bytes = module:get_option_number("im_stream_max_bytes");
local most_missed, longest_id = 100, 128; -- ids that the end of a stream names, and bytes of one

local streams = {}; -- id → stream
-- Ids never come again: the time of the start is in them.
local started, count = ("%x"):format(now() * 1000 // 1 | 0), 0;
local methods = {};
local metatable = { __index = methods };

local function transport_of(session)
	return session.requests and "bosh" or session.websocket_request and "websocket" or "tcp";
end

local function bytes_of(texts)
	local bytes = 0;
	for _, text in ipairs(texts) do bytes = bytes + #text; end
	return bytes;
end

-- What a connection could not write yet.
local function buffered_bytes(conn)
	local buffer = conn.writebuffer;
	return type(buffer) == "string" and #buffer or bytes_of(buffer or {});
end

-- What waits for the client to read it. `buffered` is a bound from above that costs nothing to keep.
local function is_over_bound(stream)
	if stream.ending then return false; end
	if stream.sm and stream.sm.bytes > most_bytes then return true; end
	if stream.buffered <= most_bytes then return false; end
	local session = stream.session;
	stream.buffered = session.requests and bytes_of(session.send_buffer) or session.conn and buffered_bytes(session.conn) or 0;
	return stream.buffered > most_bytes;
end

-- Who does not read is not told either.
local function cut_off(stream)
	module:log("info", "Stream %s of %s does not read what it is sent, closing it", stream.id, stream.jid);
	local conn = not stream.session.requests and stream.session.conn;
	stream:close { condition = "resource-constraint", text = "Too much is waiting to be read" };
	if conn then
		conn:on("disconnect", "reads too slowly");
		conn:destroy();
	end
end

local function count_out(data, session)
	local stream = session.im_stream;
	if stream then stream.buffered = stream.buffered + #data; end
	return data;
end

local function check_in(stanza, session)
	local stream = session.im_stream;
	if stream and is_over_bound(stream) then
		cut_off(stream);
		return nil;
	end
	return stanza;
end

-- A request of BOSH takes along all that waits.
local function watch_requests(stream, session)
	local send = session.send;
	function session.send(data)
		local result = send(data);
		if session.send_buffer and not session.send_buffer[1] then stream:drained(); end
		return result;
	end
end

-- The session with the connection of the stream, now.
function methods:connect(session)
	self.session, self.transport, self.buffered, self.ip = session, transport_of(session), 0, session.ip;
	self.login = session.im_login or "";
	session.im_stream = self;
	self.to = (self.transport == "tcp" and "" or " xmlns='jabber:client'").." to='"..escape(self.jid).."' ";
	filters.add_filter(session, "bytes/out", count_out, 1000);
	filters.add_filter(session, "stanzas/in", check_in, 1000);
	if session.requests then watch_requests(self, session); end
	module:fire_event("im-stream-connected", { stream = self, session = session });
end

-- Something of what the message service knows has changed.
function methods:changed()
	module:fire_event("im-stream-changed", self);
end

-- Whether the end of a stream may name a message to its client: one of a chat or a room, with an id.
local function can_be_named(frame, kind)
	local id = frame.id;
	return id and #id <= longest_id and not id:find("%s") and frame.rest:find(" type='"..kind.."'", 1, true) ~= nil;
end

-- What a client that acknowledges nothing was given counts as received when something is heard of it: with BOSH that is the request
-- after the one that took it along.
local function note_unheard(stream, frame)
	if frame.named == nil then frame.named = can_be_named(frame, "groupchat") or can_be_named(frame, "chat") or false; end
	if not frame.named then return; end
	local session = stream.session;
	local unheard = stream.unheard or { count = 0, requests = session.requests and {} };
	stream.unheard = unheard;
	local place = unheard.count % most_missed + 1;
	unheard[place], unheard.count = frame.id, unheard.count + 1;
	if unheard.requests then unheard.requests[place] = session.rid + (session.requests[1] and 0 or 1); end
end

-- When it has ended: ids of the last messages that the client has not confirmed, of those to rooms alone where the others are confirmed by number.
function methods:missed()
	local ids = {};
	local confirming = self.ack or self.sm;
	if confirming then
		local frames = confirming:missing();
		for i = #frames, 1, -1 do
			if #ids == most_missed then break; end
			if can_be_named(frames[i], "groupchat") then table.insert(ids, 1, frames[i].id); end
		end
	elseif self.unheard then
		local requests, count = self.unheard.requests, self.unheard.count;
		for i = math.max(0, count - most_missed), count - 1 do
			local place = i % most_missed + 1;
			if not requests or self.last_request <= requests[place] then ids[#ids + 1] = self.unheard[place]; end
		end
	end
	return ids;
end

-- A stanza to the client, a frame: its `name` and, in `rest`, all that comes after the `to`. Numbered ones are confirmed. Returns
-- whether it is to be written now.
function methods:take(frame, k)
	if k then
		if k <= self.delivered then return false; end
		self.delivered = k;
		if self.ack and frame.expect then self.ack:expect(k, frame); end
	end
	if self.sm then self.sm:push(frame, k); end
	if not self.sm and not self.ack then note_unheard(self, frame); end
	if self.waiting and is_over_bound(self) then cut_off(self); end
	return not self.waiting and not self.ending;
end

-- A frame as XML, and more behind it.
function methods:xml(frame, more) return "<"..frame.name..self.to..frame.rest..(more or ""); end

-- Gives all of it to the system, when nothing else waits in the connection; else the rest is the connection's to write. What
-- Prosody does about each write (two events, a change of epoll) costs as much as the write itself.
local function write_at_once(conn, xml)
	local waits = conn.writebuffer;
	local is_free = conn._connected and conn._writable and not conn._writing and not conn._write_lock
		and (waits == nil or type(waits) == "table" and waits[1] == nil);
	if not is_free then
		conn:write(xml);
		return false;
	end
	local ok, _, sent = conn.conn:send(xml);
	if ok then return true; end
	conn._writable = false;
	conn:write(xml:sub((sent or 0) + 1));
	return false;
end

-- Writes XML as it is: over TCP any number of elements at once.
function methods:write(xml)
	local session = self.session;
	if self.transport ~= "tcp" then
		session.send(xml);
	elseif session.conn then -- a write before may have ended it
		self.buffered = self.buffered + #xml;
		if write_at_once(session.conn, xml) then self:drained(); end
	end
	if is_over_bound(self) then cut_off(self); end
end

-- The client has the numbered deliveries up to k, as far as the transport can say.
function methods:pass(k)
	if k > self.passed then
		self.passed = k;
		self:confirm();
	end
end

function methods:confirm()
	local k = self.passed;
	local missing = self.ack and self.ack:first_missing();
	if missing and missing <= k then k = missing - 1; end
	if k <= self.confirmed then return; end
	self.confirmed = k;
	module:fire_event("im-stream-confirmed", self);
end

-- Everything written has left for the client.
function methods:drained()
	self.buffered = 0;
	self:pass(self.sm and self.sm.written_before or self.written);
end

function methods:close(reason)
	self.ending = true;
	self.session:close(reason);
end

module:hook("c2s-ondrain", function (event)
	local stream = event.session.im_stream;
	if stream then stream:drained(); end
end);

module:hook("resource-bind", function (event)
	local session = event.session;
	count = count + 1;
	local stream = setmetatable({
		id = started.."."..("%x"):format(count), user = session.username, resource = session.resource, jid = session.full_jid,
		since = now() * 1000 // 1 | 0, delivered = 0, written = 0, passed = 0, confirmed = 0, notes = {},
		pending = 0, last_seq = 0, -- entries on their way to the disk, the last one on it
	}, metatable);
	streams[stream.id] = stream;
	stream:connect(session);
	stream:changed();
end, 100);

module:hook("pre-session-close", function (event)
	local stream = event.session.im_stream;
	if stream then stream.ending = true; end
end, 100);

-- Nothing more comes of the stream, but entries of it may still be on their way.
function methods:finish_end()
	if self.ended and self.pending == 0 then module:fire_event("im-stream-ended", self); end
end

module:hook("resource-unbind", function (event)
	local stream = event.session.im_stream;
	if not stream then return; end
	streams[stream.id], stream.ended, stream.ending = nil, true, true;
	stream.last_request = stream.session.rid; -- soon a session holds nothing any more
	stream:finish_end();
end, -100);

-- What other modules use.

module.environment.streams, module.environment.buffered_bytes = streams, buffered_bytes;

-- Those of a user, in a list: closing one changes the table of sessions.
function module.environment.streams_of(user)
	local list, online = {}, prosody.hosts[module.host].sessions[user];
	for _, session in pairs(online and online.sessions or {}) do list[#list + 1] = session.im_stream; end
	return list;
end
