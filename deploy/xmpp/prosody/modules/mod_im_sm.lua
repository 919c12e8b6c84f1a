-- XEP-0198: acknowledgements and resumption, in place of mod_smacks. What we tell a client as handled is in the log (or was
-- answered); what waits for its acknowledgement is kept by reference, as the text all receivers of a delivery share.

local filters = require "util.filters";
local st = require "util.stanza";
local new_cache = require "util.cache".new;
local new_token = require "util.id".long;
local now = require "util.time".now;
local destroy_session = require "core.sessionmanager".destroy_session;
local rest_of = module:require "im_xml".rest_of;
local streams = module:depends("im_streams");

local hibernation = module:get_option_number("im_resume_seconds", 60);
local remembered = 600; -- seconds in which an ended stream's count is told
local ask_after, ask_after_bytes = 50, 64 * 1024; -- stanzas without a number

local NS = "urn:xmpp:sm:3";
local resumable = {}; -- user and token → stream
local ended = new_cache(20000); -- user and token → { handled, at } of streams that can't be resumed any more
local store = module:open_store("im_sm");

local methods = {};
local metatable = { __index = methods };

-- Our own stanzas have no other receiver to share what they take.
local own_extra = 512;
local function size_of(frame) return #frame.rest + (frame.is_own and own_extra or 0); end

-- A stanza that is sent, as a frame: of the message service, perhaps with a number, or our own.
function methods:push(frame, k)
	self.sent = self.sent + 1;
	self.items[self.sent], self.bytes = frame, self.bytes + size_of(frame);
	if k then self.numbers[self.sent] = k; end
end

-- Drops what the client has; returns the highest number among it.
function methods:acknowledge(h)
	local k;
	for i = self.acked + 1, h do
		k = self.numbers[i] or k;
		self.bytes = self.bytes - size_of(self.items[i]);
		self.items[i], self.numbers[i] = nil, nil;
	end
	self.acked = h;
	return k;
end

-- Stanzas that are done: in the log, or answered.
local function handled(stream)
	return stream.pending == 0 and stream.sm.read or stream.sm.settled;
end

-- Deliveries that were not acknowledged, in their order.
function methods:missing()
	local frames = {};
	for i = self.acked + 1, self.sent do frames[#frames + 1] = self.items[i]; end
	return frames;
end

-- Whether much waits to be acknowledged, with or without numbers.
function methods:is_long()
	return self.sent - self.acked >= ask_after or self.bytes >= ask_after_bytes;
end

-- XML that asks for an acknowledgement, when one is wanted and none is on its way.
function methods:request()
	if self.asked or next(self.numbers) == nil and not self:is_long() then return nil; end
	self.asked = true;
	return "<r xmlns='"..NS.."'/>";
end

local function request(stream)
	local xml = not stream.waiting and not stream.ending and stream.sm:request();
	if xml then stream:write(xml); end
end

-- The count, to the first question that waits for it, or to more of them. The last one waits on when it came after what is counted.
local function answer(stream)
	local sm, h = stream.sm, handled(stream);
	sm.answer_at = sm.asked_last and sm.asked_last > h and sm.asked_last or nil;
	if not stream.waiting and stream.session.conn then
		stream:write(("<a xmlns='%s' h='%d'/>"):format(NS, h));
	end
end

-- An entry of the stream is in the log, or was refused.
module:hook("im-entry-settled", function (entry)
	local stream = entry.stream;
	local sm = stream.sm;
	if not sm then return; end
	if entry.generation == sm.generation then sm.settled = entry.h; end -- not of before a resume
	if sm.record then sm.record.handled = handled(stream); end
	if sm.answer_at and handled(stream) >= sm.answer_at and not stream.ending then answer(stream); end
end);

local function is_stanza(stanza)
	return not stanza.attr.xmlns and (stanza.name == "message" or stanza.name == "iq" or stanza.name == "presence");
end

local function count_in(stanza, session)
	local stream = session.im_stream;
	local sm = stream and stream.sm;
	if sm and not stanza.attr.xmlns then
		sm.read = sm.read + 1;
		if sm:is_long() then request(stream); end -- who gets nothing but answers is asked, too
	end
	return stanza;
end

local function keep_out(stanza, session)
	local stream = session.im_stream;
	if not stream or not stream.sm or not is_stanza(stanza) then return stanza; end
	stream.sm:push { name = stanza.name, rest = rest_of(stanza), is_own = true };
	return not stream.waiting and stanza or nil;
end

local function watch(session)
	filters.add_filter(session, "stanzas/in", count_in, 999);
	filters.add_filter(session, "stanzas/out", keep_out, -999); -- before the namespaces of a WebSocket are added
end

module:hook("im-stream-connected", function (event)
	if event.stream.sm then watch(event.session); end
end);

module:hook("stream-features", function (event)
	if not event.origin.username or event.origin.full_jid then return; end
	event.features:tag("sm", { xmlns = NS }):tag("optional"):up():up();
end);

local function fail(session, condition, h)
	session.send(st.stanza("failed", { xmlns = NS, h = h and ("%d"):format(h) })
		:tag(condition, { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" }));
end

local function enable(session, stanza)
	local stream = session.im_stream;
	if not stream or stream.sm then return fail(session, "unexpected-request"); end
	local resume = stanza.attr.resume == "true" or stanza.attr.resume == "1";
	stream.sm = setmetatable({
		token = resume and new_token(), generation = 1, written_before = stream.written,
		read = 0, settled = 0, sent = 0, acked = 0, items = {}, numbers = {}, bytes = 0,
	}, metatable);
	if resume then resumable[stream.user.." "..stream.sm.token] = stream; end
	watch(session);
	session.send(st.stanza("enabled", {
		xmlns = NS, id = stream.sm.token or nil, resume = resume and "true" or nil, max = resume and ("%.0f"):format(hibernation) or nil,
	}));
	stream:changed();
end

-- False when the count can't be; then whether it is news.
local function take_acknowledgement(stream, text)
	local sm, h = stream.sm, math.tointeger(tonumber(text));
	if not h or h < sm.acked or h > sm.sent then return false; end
	local is_news = h > sm.acked;
	sm.asked = nil;
	local k = sm:acknowledge(h);
	if k then stream:pass(k); end
	return true, is_news;
end

-- No resumption from here on; its count is remembered for who tries.
local function forget(stream)
	local sm = stream.sm;
	if not sm or not sm.token then return; end
	resumable[stream.user.." "..sm.token] = nil;
	sm.record = { handled = handled(stream), at = now() };
	ended:set(stream.user.." "..sm.token, sm.record);
	sm.token = nil;
end

-- The session takes the place of the one the stream had.
local function take_over(stream, session)
	local old = stream.session;
	local sessions = prosody.hosts[module.host].sessions[stream.user].sessions;
	old.im_stream, old.full_jid, old.resource = nil, nil, nil;
	sessions[stream.resource], prosody.full_sessions[stream.jid] = session, session;
	session.resource, session.full_jid, session.type, session.roster = stream.resource, stream.jid, "c2s", old.roster;
	stream.waiting = false;
	stream:connect(session);
	old:close { condition = "conflict", text = "Resumed by another connection" };
end

local function resume(session, stanza)
	if session.full_jid or not session.username then return fail(session, "unexpected-request"); end
	local key = session.username.." "..(stanza.attr.previd or "");
	local stream = resumable[key];
	if not stream then
		local known = ended:get(key);
		return fail(session, "item-not-found", known and now() - known.at < remembered and known.handled or nil);
	end
	local sm = stream.sm;
	if not take_acknowledgement(stream, stanza.attr.h) then
		local h = handled(stream);
		stream:close { condition = "undefined-condition", text = "The count of the resumption is wrong" };
		return fail(session, "item-not-found", h);
	end
	-- What is still on its way to the disk does not count; the client sends it again.
	sm.read, sm.settled, sm.generation, sm.answer_at, sm.asked_last = handled(stream), handled(stream), sm.generation + 1, nil, nil;
	take_over(stream, session);
	session.send(st.stanza("resumed", { xmlns = NS, previd = sm.token, h = ("%d"):format(sm.read) }));
	for i = sm.acked + 1, sm.sent do
		stream:write(stream:xml(sm.items[i]));
		if stream.ending or stream.waiting then return; end
	end
	request(stream);
	stream:changed();
end

-- What a client says about its own stream.
local function on(name, act)
	module:hook("stanza/"..NS..":"..name, function (event)
		local stream = event.origin.im_stream;
		if not stream or not stream.sm then return; end
		act(stream, event.stanza);
		return true;
	end);
end

on("r", function (stream)
	local sm = stream.sm;
	sm.answer_at, sm.asked_last = sm.answer_at or sm.read, sm.read;
	if stream.pending == 0 then answer(stream); end
end);

on("a", function (stream, stanza)
	local ok, is_news = take_acknowledgement(stream, stanza.attr.h);
	if not ok then
		stream:close { condition = "undefined-condition", text = "The count of the acknowledgement is wrong" };
	elseif is_news then
		request(stream);
	end
end);

module:hook("stanza/"..NS..":enable", function (event) enable(event.origin, event.stanza); return true; end);
module:hook("stanza/"..NS..":resume", function (event) resume(event.origin, event.stanza); return true; end);

-- The last word on a stream that is closed.
module:hook("pre-session-close", function (event)
	local stream = event.session.im_stream;
	if not stream or not stream.sm then return; end
	if event.session.conn then answer(stream); end
	forget(stream);
end, 10);

-- A connection is lost: the stream waits.
module:hook("pre-resource-unbind", function (event)
	local stream = event.session.im_stream;
	if not stream or stream.ending or not stream.sm or not stream.sm.token then return; end
	if stream.waiting then return true; end
	local generation = stream.sm.generation;
	stream.waiting, stream.sm.asked, stream.sm.answer_at = true, nil, nil;
	-- Without a connection, closing is ending; the way of a WebSocket would do nothing.
	function event.session.close(session)
		if session.im_stream then stream.ending = true; end -- another may have resumed it
		destroy_session(session);
	end
	module:add_timer(hibernation, function ()
		if not stream.waiting or stream.sm.generation ~= generation then return; end
		forget(stream);
		stream:close();
	end);
	stream:changed();
	return true;
end);

module:hook("resource-unbind", function (event)
	if event.session.im_stream then forget(event.session.im_stream); end
end);

-- A restart: who tries to resume is told how far we came.
for key, known in pairs(store:get(nil) or {}) do ended:set(key, known); end

module:hook_global("server-stopping", function ()
	for _, stream in pairs(streams.streams) do
		stream.ending = true;
		forget(stream);
	end
	local kept = {};
	for key, known in ended:items() do
		if now() - known.at < remembered then kept[key] = known; end
	end
	store:set(nil, kept);
end, -50);
