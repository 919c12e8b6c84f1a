-- xmpp:shiku:ack (spec xmpp.md §4): receivers confirm messages of single chats by their ids. What is not confirmed is sent
-- again to the same stream, and kept for the user's next one when the stream ends. Streams that did not ask for it are
-- not touched.
--
-- session.im_shiku: { by_id, items, first, last }, items in the order in which they were sent. Their number is in
-- session.im_unconfirmed: mod_im_routing sends no more messages to a stream that owes too many.

local st = require "util.stanza";
local filters = require "util.filters";
local add_task = require "util.timer".add_task;
local now = require "util.time".now;
local offline = module:depends("im_offline");
local read_body = module:require "im_body".read;

local NS = "xmpp:shiku:ack";
local wait = module:get_option_number("im_shiku_ack_seconds", 15);
local max_tries = 10;
local max_items = 1000;

local streams = {}; -- those that asked for it

local function is_confirmed_kind(session, stanza)
	if stanza.name ~= "message" or not offline.is_kept(session, stanza) or not stanza.attr.id then return false; end
	local kind = read_body(stanza).type;
	return kind ~= 200 and kind ~= 201 and (kind < 100 or kind > 136);
end

local function note_sent(stanza, session)
	local sent = session.im_shiku;
	if sent and stanza.name == "message" and not sent.by_id[stanza.attr.id or ""] and session.im_unconfirmed < max_items
		and is_confirmed_kind(session, stanza) then
		local item = { id = stanza.attr.id, stanza = stanza, at = now(), tries = 0, number = sent.last + 1 };
		sent.last = item.number;
		sent.items[item.number], sent.by_id[item.id] = item, item;
		session.im_unconfirmed = session.im_unconfirmed + 1;
	end
	return stanza;
end

-- Apps add an <id/> beside the <body/>, and some leave out the id of the iq. Prosody refuses both.
local function take_confirmation(stanza)
	if stanza.name ~= "iq" or stanza.attr.type ~= "set" then return stanza; end
	local body = stanza:get_child("body", NS);
	if not body then return stanza; end
	stanza.attr.id = stanza.attr.id or "confirmed";
	return stanza:maptags(function (child) return child == body and child or nil; end);
end

local function confirm(session, id)
	local sent = session.im_shiku;
	local item = sent.by_id[id];
	if not item then return; end
	sent.by_id[id], sent.items[item.number] = nil, nil;
	while sent.first <= sent.last and not sent.items[sent.first] do sent.first = sent.first + 1; end
	session.im_unconfirmed = session.im_unconfirmed - 1;
end

local checking = false;

local function check()
	local time = now();
	for session in pairs(streams) do
		local sent = session.im_shiku;
		for number = sent.first, session.hibernating and 0 or sent.last do
			local item = sent.items[number];
			if item and time - item.at >= wait and item.tries < max_tries then
				item.at, item.tries = time, item.tries + 1;
				session.send(item.stanza);
				if session.destroyed then break; end
			end
		end
	end
	checking = next(streams) ~= nil;
	return checking and wait * 2 / 3 or nil;
end

local function watch(session)
	filters.add_filter(session, "stanzas/out", note_sent);
	filters.add_filter(session, "stanzas/in", take_confirmation);
end

module:hook("iq-set/host/"..NS..":enable", function (event)
	local session, stanza = event.origin, event.stanza;
	if session.type ~= "c2s" then return; end
	if not session.im_shiku then
		session.im_shiku = { by_id = {}, items = {}, first = 1, last = 0 };
		session.im_unconfirmed = 0;
		streams[session] = true;
		watch(session);
		if not checking then
			checking = true;
			add_task(wait * 2 / 3, check);
		end
	end
	session.send(st.reply(stanza):add_child(st.clone(stanza.tags[1])));
	return true;
end);

for _, target in ipairs { "self", "host" } do
	module:hook("iq-set/"..target.."/"..NS..":body", function (event)
		local session, stanza = event.origin, event.stanza;
		if not session.im_shiku then return; end
		for id in (stanza.tags[1]:get_text() or ""):gmatch("[^,]+") do confirm(session, id:match("^%s*(.-)%s*$")); end
		session.send(st.reply(stanza));
		if session.im_spool then offline.advance(session); end
		return true;
	end);
end

-- A resumed stream has the filters of its new connection.
module:hook("smacks-hibernation-end", function (event)
	if event.resumed.im_shiku then watch(event.resumed); end
end);

-- mod_smacks: what it has not seen acknowledged. Messages that are confirmed here are kept by this module, in order.
module:hook("delivery/failure", function (event)
	if event.session.im_shiku and is_confirmed_kind(event.session, event.stanza) then return true; end
end, 20);

-- After the spool was given back (mod_im_offline): the rest was sent after it.
module:hook("resource-unbind", function (event)
	local session = event.session;
	local sent = session.im_shiku;
	if not sent then return; end
	streams[session] = nil;
	for number = sent.first, sent.last do
		local item = sent.items[number];
		if item then
			module:fire_event("message/offline/handle", {
				username = session.username, origin = session, stanza = item.stanza, lost = true,
			});
		end
	end
	session.im_shiku, session.im_unconfirmed = nil, nil;
end, -1);
