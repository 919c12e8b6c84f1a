-- BOSH also at `/`, where some apps post to.

local bosh = module:depends("bosh");

module:depends("http");
module:provides("http", {
	default_path = "/";
	cors = { enabled = true };
	route = { ["POST /"] = function (event) return bosh.handle_POST(event); end };
});
