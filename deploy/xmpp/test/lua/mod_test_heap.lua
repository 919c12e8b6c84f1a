-- Tells tests how many bytes are still needed after all garbage was collected.

module:depends("http");
module:provides("http", {
	default_path = "/test_heap";
	route = { GET = function ()
		collectgarbage();
		collectgarbage();
		return ("%d"):format(collectgarbage("count") * 1024 // 1 | 0);
	end };
});
