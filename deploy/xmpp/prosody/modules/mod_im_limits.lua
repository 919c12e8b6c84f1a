-- How much a client may send: stanzas and bytes of a stream, messages and bytes of a user. Over a limit, reading pauses until
-- the debt is paid; who stays over it for ten seconds is refused as well, until they slow down (spec xmpp.md §12).

local filters = require "util.filters";
local new_cache = require "util.cache".new;
local monotonic = require "util.time".monotonic;

local factor = module:get_option_number("im_limit_factor", 1);
local patience = 10; -- seconds

local limits = { -- at once, then each second
	stream_stanzas = { 2000, 50 }, stream_bytes = { 4 * 1024 * 1024, 512 * 1024 },
	user_messages = { 100, 20 }, user_bytes = { 4 * 1024 * 1024, 512 * 1024 },
};

local function new_bucket(name)
	local burst, rate = limits[name][1] * factor, limits[name][2] * factor;
	return { level = burst, burst = burst, rate = rate, at = monotonic() };
end

-- Takes an amount, into debt if need be. Returns the seconds until the debt is paid.
local function take(bucket, amount)
	local time = monotonic();
	bucket.level = math.min(bucket.burst, bucket.level + (time - bucket.at) * bucket.rate) - amount;
	bucket.at = time;
	return bucket.level < 0 and -bucket.level / bucket.rate or 0;
end

local function pause(session, seconds)
	local conn, until_when = not session.requests and session.conn, monotonic() + seconds;
	if not conn or (session.im_paused_until or 0) >= until_when then return; end
	session.im_paused_until = until_when;
	-- What waits for its turn is not read meanwhile, and its connection rests already (mod_im_turns).
	if not session.im_unread and not session.im_reads_piece then conn:pausefor(seconds); end
end

-- What was a user's before is theirs when they come back.
local of_user, gone = {}, new_cache(50000);

local function user_limits(user)
	local known = of_user[user] or gone:get(user) or { messages = new_bucket("user_messages"), bytes = new_bucket("user_bytes") };
	of_user[user] = known;
	return known;
end

module:hook("resource-unbind", function (event)
	local user = event.session.username;
	if of_user[user] and not prosody.hosts[module.host].sessions[user] then
		gone:set(user, of_user[user]);
		of_user[user] = nil;
	end
end);

local function read_bytes(data, session)
	session.im_bytes = session.im_bytes or new_bucket("stream_bytes");
	local wait = take(session.im_bytes, #data);
	if wait > 0 then pause(session, wait); end
	return data;
end

-- What is no stanza (acknowledgements and questions for them) weighs a tenth of one.
local function weigh(stanza, session)
	local stream = session.im_stream;
	if stream and stanza.attr.xmlns then
		stream.stanzas = stream.stanzas or new_bucket("stream_stanzas");
		local wait = take(stream.stanzas, 0.1);
		if wait > 0 then pause(session, wait); end
	end
	return stanza;
end

if factor > 0 then
	filters.add_filter_hook(function (session)
		if session.type ~= "c2s_unauthed" then return; end
		filters.add_filter(session, "bytes/in", read_bytes, 1000);
		filters.add_filter(session, "stanzas/in", weigh, 900);
	end);
end

local exports = module.environment;
exports.pause = pause;

-- False: the stanza (with so many bytes for the log) is to be refused.
function exports.admit(session, stream, stanza, bytes)
	if factor <= 0 then return true; end
	stream.stanzas = stream.stanzas or new_bucket("stream_stanzas");
	local wait, user, is_message = take(stream.stanzas, 1), nil, false;
	if bytes > 0 then
		user = user_limits(stream.user);
		is_message = stanza.name == "message" and stanza:get_child("body") ~= nil;
		wait = math.max(wait, take(user.bytes, bytes), is_message and take(user.messages, 1) or 0);
	end
	if wait == 0 then
		if stream.slow_since and stream.stanzas.level > stream.stanzas.burst / 2
			and (not user or user.messages.level > user.messages.burst / 2) then stream.slow_since = nil; end
		return true;
	end
	local time = monotonic();
	stream.slow_since = stream.slow_since or time;
	pause(session, math.min(wait, patience));
	-- Requests of BOSH can't be paused.
	if time - stream.slow_since < patience and (not session.requests or wait < patience) then return true; end
	if user then
		take(user.bytes, -bytes);
		if is_message then take(user.messages, -1); end
	end
	return false;
end
