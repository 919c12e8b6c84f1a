-- When thousands come back at once, each joins all their rooms. Presence to rooms that comes faster than it is taken is read in
-- turns, a piece of each stream at a time, so that everything else passes it. It waits for other presence alone: however many
-- messages are on their way, some joins are among them. To be available waits for nobody.

local filters = require "util.filters";
local add_task = require "util.timer".add_task;
local monotonic = require "util.time".monotonic;
local feed = module:depends("im_feed");
module:depends("im_streams");

local piece = 512; -- bytes of a stream at its turn
local most_on_way = 256; -- of presence that the message service has not taken: then more of it waits
local slice = 0.005; -- seconds of reading, before others have their turn

local queue, first, last = {}, 1, 0; -- sessions with input that waits
local planned = false;
local plan;

-- Presence on its way to the disk, and in the log: the numbers of its entries, oldest first.
local unwritten, written, oldest, newest = 0, {}, 1, 0;

module:hook("im-entry-taken", function (entry)
	if entry.name == "presence" then unwritten = unwritten + 1; end
end);

local function forget_taken()
	local taken = feed.taken();
	while oldest <= newest and written[oldest] <= taken do
		written[oldest] = nil;
		oldest = oldest + 1;
	end
end

module:hook("im-entry-settled", function (entry)
	if entry.name ~= "presence" then return; end
	forget_taken(); -- here, too: of a WebSocket or BOSH nobody asks whether it may be read
	unwritten, newest = unwritten - 1, newest + 1;
	written[newest] = entry.stream.last_seq; -- of one that was refused that of an earlier entry
end);

local function is_busy()
	forget_taken();
	return unwritten + newest - oldest + 1 >= most_on_way;
end

local function enqueue(session)
	last = last + 1;
	queue[last] = session;
	plan();
end

local function go_on(session)
	if not session.conn then
		session.im_unread = nil;
	elseif session.im_unread then
		enqueue(session);
	else
		session.conn:resume();
	end
end

local function read_piece(session)
	local text = session.im_unread;
	session.im_unread = #text > piece and text:sub(piece + 1) or nil;
	session.im_reads_piece = true;
	session.data(text:sub(1, piece));
	session.im_reads_piece = nil;
	local rest = (session.im_paused_until or 0) - monotonic(); -- mod_im_limits: they send too much
	if rest > 0 then add_task(rest, function () go_on(session); end); else go_on(session); end
end

local function read_pieces()
	planned = false;
	local since = monotonic();
	while first <= last and not is_busy() and monotonic() - since < slice do
		local session = queue[first];
		queue[first] = nil;
		first = first + 1;
		if session.conn then read_piece(session); end
	end
	if first <= last then plan(); end
end

function plan()
	if planned then return; end
	planned = true;
	add_task(is_busy() and 0.002 or 0, read_pieces);
end

local function take_turn(data, session)
	local stream = session.im_stream;
	if session.im_reads_piece or not stream then return data; end
	if session.im_unread then -- this comes behind it
		session.im_unread = session.im_unread..data;
		session.conn:pause();
		return nil;
	end
	if stream.transport ~= "tcp" or not (first <= last or is_busy()) then return data; end
	local from = data:find("<presence%s[^<>]-%f[%w]to%s*=");
	if not from then return data; end
	session.im_unread = data:sub(from);
	session.conn:pause();
	enqueue(session);
	return from > 1 and data:sub(1, from - 1) or nil;
end

filters.add_filter_hook(function (session)
	if session.type == "c2s_unauthed" then filters.add_filter(session, "bytes/in", take_turn, 2000); end
end);
