-- Connections that have no stream yet cost memory, and nobody knows whose they are: so many of an address, so many in all. Beyond
-- that who has waited longest makes room: apps log in within a second. Who logs in and binds nothing is closed as well.
-- Proxies have the addresses of all who come through them; the gateway bounds what comes through it.

local new_cache = require "util.cache".new;
local ip = require "util.ip";
local get_service = require "core.portmanager".get_service;
local monotonic = require "util.time".monotonic;

local most_of_address = module:get_option_number("im_max_arrivals_per_address");
local most = module:get_option_number("im_max_arrivals");
local patience = module:get_option_number("c2s_timeout");

local proxies = {};
for item in module:get_option_set("trusted_proxies"):items() do proxies[#proxies + 1] = { ip.parse_cidr(item) }; end

local address_of = {}; -- connection → its address, false for a proxy
local told_at = {}; -- when what each bound did was last logged
local all; -- connections, the oldest first out
local of_address = {}; -- address → the same of it

-- All of a /64 is one client's. Nil for a proxy.
local function address_for(conn)
	local address = ip.new_ip(conn:ip());
	if not address then return conn:ip(); end
	for _, proxy in ipairs(proxies) do
		if ip.match(address, proxy[1], proxy[2]) then return nil; end
	end
	local packed = address.packed;
	local is_mapped = packed:sub(1, 12) == ("\0"):rep(10).."\255\255";
	return #packed == 16 and not is_mapped and packed:sub(1, 8) or packed:sub(-4);
end

-- `from`: it goes out of that by itself.
local function forget(conn, from)
	local address = address_of[conn];
	if address == nil then return; end
	address_of[conn] = nil;
	if from ~= all then all:set(conn, nil); end
	local others = of_address[address];
	if not others then return; end
	if from ~= others then others:set(conn, nil); end
	if others:count() == 0 then of_address[address] = nil; end
end

local function new_bound(bound, setting)
	local waiting;
	waiting = new_cache(bound, function (conn)
		if monotonic() - (told_at[setting] or -60) >= 60 then
			told_at[setting] = monotonic();
			module:log("warn", "%s is %d: who waits longest for a login is closed, now a connection of %s", setting, bound, conn:ip());
		end
		forget(conn, waiting);
		conn:on("disconnect", "makes room for others");
		conn:destroy();
	end);
	return waiting;
end

all = new_bound(most, "XMPP_MAX_ARRIVALS");

local function arrive(conn)
	if address_of[conn] ~= nil then return; end
	local address = address_for(conn) or false;
	address_of[conn] = address;
	if address then
		of_address[address] = of_address[address] or new_bound(most_of_address, "XMPP_MAX_ARRIVALS_PER_ADDRESS");
		of_address[address]:set(conn, true);
	end
	all:set(conn, true);
end

local function before(listener, name, act)
	local go_on = listener[name];
	listener[name] = function (conn, ...)
		act(conn);
		return go_on and go_on(conn, ...);
	end
end

module:hook_global("server-started", function ()
	local listener = get_service("c2s").listener;
	before(listener, "onstarttls", arrive); -- where that comes first, it is long before the connection counts as such
	before(listener, "onconnect", arrive);
	before(listener, "ondisconnect", function (conn) forget(conn); end);
end);

module:hook("im-stream-connected", function (event)
	if event.session.conn then forget(event.session.conn); end
end);

module:hook("authentication-success", function (event)
	local session = event.session;
	module:add_timer(patience, function ()
		if session.type == "c2s_unbound" then session:close("connection-timeout"); end
	end);
end);
