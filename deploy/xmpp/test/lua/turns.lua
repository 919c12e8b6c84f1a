-- The turns of joins (mod_im_turns): what is kept of presence on its way to the message service.

local tap = dofile(arg[0]:match("^(.*)/[^/]*$").."/tap.lua");

local hooks, taken = {}, 0;
package.loaded["util.filters"] = { add_filter_hook = function () end };
package.loaded["util.timer"] = { add_task = function () end };
module = {
	hook = function (_, name, handler) hooks[name] = handler; end,
	depends = function () return { taken = function () return taken; end }; end,
};
dofile(arg[1].."/mod_im_turns.lua");

local function needed()
	collectgarbage();
	collectgarbage();
	return collectgarbage("count") * 1024;
end

local seq = 0;
local function pass(count)
	local entry = { name = "presence", stream = {} };
	for _ = 1, count do
		seq = seq + 1;
		entry.stream.last_seq = seq;
		hooks["im-entry-taken"](entry);
		hooks["im-entry-settled"](entry);
		taken = seq;
	end
	return needed();
end

-- Nobody asks here whether more may be read, as where all clients come by WebSocket or BOSH.
local before = pass(1000);
local kept = pass(100000) - before;
tap.ok(kept < 10000, "nothing is kept of presence that was taken", ("%d bytes of 100,000"):format(kept));

tap.finish();
