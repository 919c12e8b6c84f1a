-- The connection of the message service (our component): hello, the state of all streams, then the entries of the log in
-- order. ../README.md is the protocol.

local escape = module:require "im_xml".escape_attribute;
local add_task = require "util.timer".add_task;
local monotonic = require "util.time".monotonic;
local now = require "util.time".now;
local log = module:depends("im_log");
local streams = module:depends("im_streams");

local NS = "urn:yingchuang:im:3";
local component_host = module:get_option_string("im_component");
local server_name = module:get_option_string("im_server_name");
local window, window_bytes = 512, 4 * 1024 * 1024; -- of entries that are not stored
local batch_bytes = 64 * 1024; -- of frames in one message
local most_bytes = 64 * 1024 * 1024; -- waiting to be read by the component: then it is cut off
local turn_streams, turn_seconds = 500, 0.005; -- told of at once; after so long, though the turn of the event loop lasts

local opening = "<message from='"..module.host.."' to='"..component_host.."'>";
local marks = log.log;

-- The connection that counts: { session, epoch, ready, reader, sent, acked, sizes, bytes (of what is sent and not stored),
-- out, out_bytes (frames to write), changed, confirmed (sets of streams to tell of), ends (streams by their last entry) }.
local component;
local holes = 0;

local function flush(self)
	if self.out_bytes == 0 or component ~= self then return; end -- a write may have ended the connection
	local texts = self.out;
	self.out, self.out_bytes = {}, 0;
	self.session.send(opening..table.concat(texts).."</message>");
	if self.session.conn and streams.buffered_bytes(self.session.conn) > most_bytes then
		self.session:close { condition = "resource-constraint", text = "The server is not read" };
	end
end

local function tell(self, frame, ...)
	frame = frame:format(...);
	if self.out_bytes + #frame > batch_bytes then flush(self); end
	table.insert(self.out, frame);
	self.out_bytes = self.out_bytes + #frame;
end

-- Notes are the component's own, so they are told once: there may be thousands of a stream, which changes as often as it likes.
local function tell_stream(self, stream)
	local notes = {};
	for name, value in pairs(self.ready and {} or stream.notes) do
		table.insert(notes, "<note name='"..escape(name).."' value='"..escape(value).."'/>");
	end
	tell(self, "<stream xmlns='%s' id='%s' user='%s' resource='%s' login='%s' since='%d' ip='%s' confirms='%s' delivered='%d' confirmed='%d'%s%s%s>%s</stream>",
		NS, stream.id, stream.user, escape(stream.resource), escape(stream.login), stream.since, escape(stream.ip or ""),
		stream.ack and "ack" or stream.sm and "sm" or "write", stream.delivered, stream.confirmed,
		stream.priority and (" priority='%d'"):format(stream.priority) or "", stream.carbons and " carbons='1'" or "",
		stream.waiting and " waiting='1'" or "", table.concat(notes));
end

local function tell_end(self, stream)
	local missed = stream:missed();
	tell(self, "<stream-end xmlns='%s' id='%s' user='%s' resource='%s' confirmed='%d'%s/>",
		NS, stream.id, stream.user, escape(stream.resource), stream.confirmed,
		missed[1] and (" missed='%s'"):format(escape(table.concat(missed, " "))) or "");
end

-- Sends entries as far as the window allows.
local function pump()
	local self = component;
	if not self or not self.ready then return; end
	while component == self and self.sent - self.acked < window and (self.bytes < window_bytes or self.bytes == 0) do
		local seq, text, last = self.reader:next(marks.last);
		if not seq then
			if text then
				module:log("error", "The log can't be read: %s", text);
				add_task(1, pump);
			end
			break;
		end
		if text then
			if seq > self.acked then self.sizes[seq], self.bytes = #text, self.bytes + #text; end
			tell(self, "%s", text);
		else
			holes = holes + 1;
			module:log("error", "Entries %d to %d of the log are damaged or were refused", seq, last);
			tell(self, "<hole xmlns='%s' from='%d' to='%d'/>", NS, seq, last);
		end
		self.sent = last or seq;
		for number = seq, self.sent do -- all that a hole takes
			for _, stream in ipairs(self.ends[number] or {}) do tell_end(self, stream); end
			self.ends[number] = nil;
		end
	end
	flush(self);
end

-- What has changed is told together, at the end of a turn of the event loop: a stream before its entries.

local turn_planned, turn_since = false, 0;
local plan_turn;

local function end_turn()
	turn_planned = false;
	local self = component;
	if not self then return; end
	local told, list = 0, {};
	for stream in pairs(self.changed) do
		if told == turn_streams then break; end
		told = told + 1;
		self.changed[stream] = nil;
		if not stream.ended then tell_stream(self, stream); end
	end
	for stream in pairs(self.confirmed) do table.insert(list, ("%s:%d"):format(stream.id, stream.confirmed)); end
	self.confirmed = {};
	if list[1] then tell(self, "<confirmed xmlns='%s' to='%s'/>", NS, table.concat(list, " ")); end
	if next(self.changed) then -- others have their turn first
		flush(self);
		return plan_turn();
	end
	if not self.ready then
		self.ready = true;
		tell(self, "<ready xmlns='%s'/>", NS);
	end
	pump();
end

function plan_turn()
	if not turn_planned then
		turn_planned, turn_since = true, monotonic();
		add_task(0, function () if turn_planned then end_turn(); end end);
	elseif monotonic() - turn_since > turn_seconds then
		end_turn();
	end
end

module:hook("im-log-settled", end_turn);

module:hook("im-stream-changed", function (stream)
	if not component then return; end
	component.changed[stream] = true;
	plan_turn();
end);

module:hook("im-stream-confirmed", function (stream)
	if not component or stream.ended then return; end
	component.confirmed[stream] = true;
	plan_turn();
end);

module:hook("im-stream-ended", function (stream)
	local self = component;
	if not self then return; end
	self.confirmed[stream] = nil;
	if stream.last_seq > self.sent then
		self.ends[stream.last_seq] = self.ends[stream.last_seq] or {};
		table.insert(self.ends[stream.last_seq], stream);
	else
		tell_end(self, stream);
		plan_turn();
	end
end);

local function connected(session)
	-- Rises over restarts, too.
	log.mark { epoch = math.max(marks.epoch + 1, now() * 1000 // 1 | 0) };
	component = {
		session = session, epoch = marks.epoch, ready = false, reader = marks:read_from(marks.released + 1),
		sent = marks.released, acked = marks.released, sizes = {}, bytes = 0,
		out = {}, out_bytes = 0, changed = {}, confirmed = {}, ends = {},
	};
	session.conn:set_mode(65536); -- bytes read at once
	tell(component, "<hello xmlns='%s' version='3' server='%s' log='%s' epoch='%d' released='%d' stored='%d' last='%d' window='%d'/>",
		NS, escape(server_name), marks.id, marks.epoch, marks.released, marks.stored, marks.last, window);
	for _, stream in pairs(streams.streams) do component.changed[stream] = true; end
	plan_turn();
end

local function disconnected(session)
	if not component or component.session ~= session then return; end
	component.reader:close();
	component = nil;
end

-- Prosody writes a last word to a connection that is closed. Where that write is what ends it, Prosody goes on with a session
-- that is gone, and the connection that was to take its place would not be taken.
local function survive_close(session)
	local close = session.close;
	function session.close(self, ...)
		local ok, problem = pcall(close, self, ...);
		if not ok and self.send then error(problem, 0); end
	end
end

module:hook_global("server-started", function ()
	local host = module:context(component_host);
	host:hook("component-authenticated", function (event)
		survive_close(event.session);
		connected(event.session);
	end);
	host:hook("component-disconnected", function (event) disconnected(event.session); end);
end);

module:hook_global("server-stopping", function ()
	log.finish();
	end_turn();
end, 100);

-- What other modules use.

local exports = module.environment;

function exports.is_component(session) return component ~= nil and component.session == session; end

local function number_in(attr, last)
	local number = math.tointeger(tonumber(attr.seq)) or 0;
	return tonumber(attr.epoch) == component.epoch and number <= last and number or 0;
end

-- Entries are stored: the window moves. What an earlier connection brought counts before it is sent again.
function exports.stored(attr)
	local self, number = component, number_in(attr, marks.last);
	for seq = self.acked + 1, number do
		self.bytes = self.bytes - (self.sizes[seq] or 0);
		self.sizes[seq] = nil;
	end
	self.acked = math.max(self.acked, number);
	log.mark { stored = number };
end

-- Nothing more is wanted of entries.
function exports.released(attr) log.mark { released = number_in(attr, component.acked) }; end

exports.end_turn = end_turn;

-- Up to which entry the message service has taken all; while it is away nobody waits for it.
function exports.taken() return component and component.acked or marks.last; end

function exports.counts() return component and component.sent or 0, holes, component and 1 or 0; end
