-- Limits (mod_im_limits): whom they slow down, whom they refuse, and until when; by a clock of the test.

local tap = dofile(arg[0]:match("^(.*)/[^/]*$").."/tap.lua");

local time, factor = 1000, 1;
package.loaded["util.filters"] = { add_filter_hook = function () end, add_filter = function () end };
package.loaded["util.cache"] = { new = function () return { get = function () end, set = function () end }; end };
package.loaded["util.time"] = { monotonic = function () return time; end };
module = { hook = function () end, get_option_number = function () return factor; end, environment = {} };
dofile(arg[1].."/mod_im_limits.lua");
local admit = module.environment.admit;

local message = { name = "message", attr = {}, get_child = function () return {}; end };
local presence = { name = "presence", attr = {}, get_child = function () end };

-- A client that sends so many a second for so many seconds; returns how many were refused.
local function send(client, a_second, seconds, bytes, stanza)
	local refused = 0;
	for _ = 1, a_second * seconds do
		time = time + 1 / a_second;
		if not admit(client.session, client.stream, stanza or message, bytes) then refused = refused + 1; end
	end
	return refused;
end

local users = 0;
local function client(requests)
	users = users + 1;
	return { session = { requests = requests }, stream = { user = tostring(users) } };
end

local steady = client();
tap.equal(send(steady, 19, 600, 1000), 0, "nineteen messages a second are never refused");

local fast = client();
tap.equal(send(fast, 40, 14, 1000), 0, "twice as many are not for a while");
tap.ok(send(fast, 40, 60, 1000) > 1300, "then they are, without a pause");
time = time + 2;
tap.ok(send(fast, 200, 0.5, 1000) > 30, "and again at once when the debt is just paid");
time = time + 30;
tap.equal(send(fast, 40, 10, 1000), 0, "until half of the burst is free again");

-- What is refused costs nothing: the bytes of the same time of silence are free again.
local large = client();
tap.ok(send(large, 20, 60, 200000) > 500, "bytes of a user are limited, too");
time = time + 60;
tap.equal(send(large, 2, 60, 200000), 0, "what was refused is not owed");

local bosh = client({});
tap.ok(send(bosh, 1000, 1, 1000) > 500, "who can't be paused is refused at a debt of ten seconds");

local joins = client();
tap.equal(send(joins, 2000, 1, 0, presence), 0, "thousands of joins at once are taken");
tap.ok(send(joins, 100, 30, 0, presence) > 500, "not for long");
time = time + 45;
tap.ok(send(joins, 100, 20, 0, presence) > 100, "nor again before half of the burst is free");

tap.finish();
