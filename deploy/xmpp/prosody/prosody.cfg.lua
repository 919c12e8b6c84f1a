-- The XMPP server of 盈创 IM (Prosody 0.12). Every setting comes from the environment; ../README.md has the table.

local lfs = require "lfs";

-- Ends the start with one line. Prosody would put an error into a page of advice.
local function refuse(why)
	io.stderr:write("Error: "..why.."\n");
	os.exit(1);
end

-- Without blanks and line ends around it, as the services read theirs: files of secrets often end with a line.
local function env(name, default)
	local value = (os.getenv(name) or ""):match("^%s*(.-)%s*$");
	if value == "" then return default; end
	return value;
end

local function required(name, purpose)
	return env(name) or refuse(name.." is not set: "..purpose);
end

-- The services ask for as many in production.
local shortest_secret = 16;

local function secret(name, purpose)
	local value = required(name, purpose);
	for key in value:gmatch("[^,]+") do
		if #key < shortest_secret then
			refuse(name.." must have at least "..shortest_secret.." characters: "..purpose);
		end
	end
	return value;
end

local function choice(name, default, values, names)
	local value = env(name, default);
	if values[value] == nil then refuse(name.." must be "..names..", not "..value); end
	return values[value];
end

local truths = { ["true"] = true, ["1"] = true, ["false"] = false, ["0"] = false };
local function flag(name) return choice(name, "false", truths, "true or false"); end

local function number(name, default)
	return tonumber(env(name, default)) or refuse(name.." is not a number");
end

local function count(name, default)
	local value = math.tointeger(number(name, default));
	return value and value > 0 and value or refuse(name.." must be a whole number above 0");
end

local function list(name, default)
	local items = {};
	for item in env(name, default):gmatch("[^%s,]+") do items[#items + 1] = item; end
	return items;
end

-- Prosody would take a host name for none of them, and everybody behind the proxy for one client.
local function addresses(name, default)
	local ip = require "util.ip";
	local items = list(name, default);
	for _, item in ipairs(items) do
		if not ip.new_ip((item:gsub("/%d+$", ""))) then
			refuse(name.." must be addresses or networks such as 10.0.0.0/8, not "..item);
		end
	end
	return items;
end

local function matching(name, default, pattern, such_as)
	local value = env(name, default);
	if not value:match(pattern) then refuse(name.." must be such as "..such_as..", not "..value); end
	return value;
end

local levels = { debug = "debug", info = "info", warn = "warn", error = "error" };

local function absolute(path)
	return path:sub(1, 1) == "/" and path or lfs.currentdir().."/"..path;
end

local function make_folder(path)
	local made = path:sub(1, 1) == "/" and "" or ".";
	for part in path:gmatch("[^/]+") do
		made = made.."/"..part;
		lfs.mkdir(made);
	end
	return path;
end

-- What is assigned without `local` is a setting of Prosody and can't be read again here.

local here = absolute(debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$"));
local domain = matching("XMPP_DOMAIN", "im.localhost", "^[^%s@/:]+$", "im.example.com");
local component = env("XMPP_COMPONENT", "api."..domain);
local data = make_folder(absolute(env("XMPP_DATA_DIR", ".data/prosody")));

-- Process

local log_level = choice("XMPP_LOG_LEVEL", "info", levels, "debug, info, warn or error");

run_as_root = true -- in containers and on developers' machines; Prosody only looks at it when it is root
daemonize = false
data_path = data
plugin_paths = { here.."/modules" }
log = { { levels = { min = log_level }, to = "console", timestamps = true } }
im_debug_log = log_level == "debug"
umask = "027"
-- Prosody's threshold of 105 collects without a pause: two thirds of the CPU of a busy server. Lua 5.4 multiplies its
-- steps by `speed`: with Prosody's 500 one step is a whole collection. See docs/performance.md.
gc = { mode = "incremental", threshold = 300, speed = 24 }

-- Listeners

-- Half of the time after which a silent stream is closed: then it is pinged (mod_im_streams).
local silence = number("XMPP_TIMEOUT", 180);

network_settings = { nagle = false, tcp_backlog = 512, read_timeout = silence / 2, send_timeout = 60, opportunistic_writes = true }
local client_interfaces = list("XMPP_INTERFACES", "127.0.0.1");
interfaces = client_interfaces
c2s_ports = { number("XMPP_PORT", 5222) }
legacy_ssl_ports = {}
s2s_ports = {}
http_interfaces = client_interfaces
http_ports = { number("XMPP_HTTP_PORT", 5280) }
https_ports = {}
http_default_host = domain
http_paths = { bosh = "/http-bind", websocket = "/xmpp-websocket", im_bosh_root = "/" }
trusted_proxies = addresses("XMPP_TRUSTED_PROXIES", "127.0.0.1,::1")
component_interfaces = list("XMPP_COMPONENT_INTERFACES", "127.0.0.1")
component_ports = { number("XMPP_COMPONENT_PORT", 5347) }

-- TLS: offered with the given certificate or with one made here, required on demand

-- Prosody would go on without TLS.
local function demand_pair(crt, key)
	for _, setting in ipairs { { "XMPP_CERT", crt }, { "XMPP_KEY", key } } do
		local file, problem = io.open(setting[2]);
		if not file then refuse(setting[1].." can't be read: "..problem); end
		file:close();
	end
	local context, problem = require "ssl".newcontext { mode = "server", protocol = "any", certificate = crt, key = key };
	if not context then
		refuse("XMPP_CERT and XMPP_KEY are no certificate with its key: "..crt..", "..key.." ("..problem..")");
	end
end

local function certificate()
	local crt, key = env("XMPP_CERT"), env("XMPP_KEY");
	if crt or key then
		crt = absolute(crt or refuse("XMPP_KEY is set but XMPP_CERT is not"));
		key = absolute(key or refuse("XMPP_CERT is set but XMPP_KEY is not"));
		demand_pair(crt, key);
		return crt, key;
	end
	local folder = make_folder(data.."/certs");
	crt, key = folder.."/"..domain..".crt", folder.."/"..domain..".key";
	if not (lfs.attributes(crt) and lfs.attributes(key)) then
		local function quoted(text) return "'"..text:gsub("'", "'\\''").."'"; end
		local made = os.execute("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650"
			.." -subj "..quoted("/CN="..domain).." -addext "..quoted("subjectAltName=DNS:"..domain)
			.." -keyout "..quoted(key).." -out "..quoted(crt).." 2>/dev/null");
		if not made then return nil; end
	end
	return crt, key;
end

local require_tls = flag("XMPP_REQUIRE_TLS");
local crt, key;
if choice("XMPP_TLS", "on", { on = true, off = false }, "on or off") then crt, key = certificate(); end
if require_tls and not crt then
	refuse("XMPP_REQUIRE_TLS needs a certificate: set XMPP_CERT and XMPP_KEY, or install openssl");
end

if crt then ssl = { certificate = crt, key = key }; end
c2s_direct_tls_ports = crt and env("XMPP_DIRECT_TLS_PORT") and { number("XMPP_DIRECT_TLS_PORT") } or {}
c2s_direct_tls_ssl = crt and { certificate = crt, key = key } or nil
certificates = make_folder(data.."/certs")
c2s_require_encryption = require_tls
allow_unencrypted_plain_auth = not require_tls
consider_websocket_secure = true -- the gateway in front of them speaks TLS
consider_bosh_secure = true

-- Streams and stanzas

c2s_timeout = count("XMPP_ARRIVAL_SECONDS", 60)
c2s_stanza_size_limit = 256 * 1024
component_stanza_size_limit = 1024 * 1024
http_max_content_size = 1024 * 1024
conflict_resolve = "kick_old"

-- Nothing is kept but the log (im_log) and, over a restart, the counts of streams that could have been resumed.

default_storage = "none"
storage = { im_sm = "internal" }
authorization = "internal"

local of_prosody = {
	"saslauth", "disco", "ping", "version", "time", "bosh", "websocket", "posix", "http_openmetrics",
	crt and "tls" or nil,
};
modules_enabled = of_prosody
modules_disabled = { "s2s", "message", "presence", "offline" } -- Prosody routes nothing

statistics = "internal"
statistics_interval = "manual" -- when they are asked for
openmetrics_allow_cidr = env("XMPP_METRICS_CIDR")

-- Our modules. They are loaded in this order, each says what it does in its first lines.

local limit_factor = number("LIMIT_FACTOR", 1);

im_user_url = matching("USER_URL", "http://127.0.0.1:8101", "^https?://[^/]", "http://user:8101")
-- Services accept several keys while one is changed; the first is the one to send.
im_service_key = secret("SERVICE_KEY", "the keys the user service accepts of its peers"):match("^[^,]+")
im_component = component
im_server_name = env("XMPP_SERVER_NAME", "xmpp-1")
im_log_max_bytes = number("XMPP_LOG_MAX_BYTES", 4 * 1024 * 1024 * 1024)
im_log_segment_bytes = number("XMPP_LOG_SEGMENT_BYTES", 8 * 1024 * 1024)
im_sync_program = absolute(env("XMPP_SYNC_PROGRAM", here.."/sync-files.pl"))
im_sync_seconds = number("XMPP_SYNC_SECONDS", 15)
im_stream_max_bytes = number("XMPP_STREAM_MAX_BYTES", 4 * 1024 * 1024)
im_resume_seconds = number("XMPP_RESUME_SECONDS", 60)
im_limit_factor = limit_factor
im_logins_per_second = limit_factor == 0 and math.huge or number("XMPP_LOGINS_PER_SECOND", 300)
im_max_arrivals = count("XMPP_MAX_ARRIVALS", 10000)
im_max_arrivals_per_address = count("XMPP_MAX_ARRIVALS_PER_ADDRESS", 1000)
im_end_seconds = env("XMPP_END_SECONDS") and number("XMPP_END_SECONDS")
im_shiku_ack_seconds = number("XMPP_SHIKU_ACK_SECONDS", 15)
im_max_resources = 10

local ours = {
	"im_connections", "im_log", "im_streams", "im_sm", "im_shiku_ack", "im_feed", "im_deliver", "im_limits", "im_entries",
	"im_turns", "im_arrivals", "im_metrics", "im_bosh_root", "im_end",
};

-- Prosody would go on without a module that can't be loaded, and nothing would be stored, or have a limit; or without a port that
-- somebody else has.
prosody.events.add_handler("server-started", function ()
	local is_loaded = require "core.modulemanager".is_loaded;
	for _, names in ipairs { of_prosody, ours } do
		for _, name in ipairs(names) do
			if not (is_loaded(domain, name) or is_loaded("*", name)) then
				refuse("mod_"..name.." could not be loaded; why is above");
			end
		end
	end
	local ports = require "core.portmanager".get_active_services();
	for service, setting in pairs { c2s = "XMPP_PORT", http = "XMPP_HTTP_PORT", component = "XMPP_COMPONENT_PORT" } do
		if not next(ports:get(service) or {}) then refuse(setting.." could not be opened; why is above"); end
	end
end);

VirtualHost(domain)
	authentication = "im"
	modules_enabled = ours

-- Rooms are the message service's: what is sent to muc.<domain> reaches it by the log.

Component(component)
	component_secret = secret("XMPP_COMPONENT_SECRET", "the secret of the message service's component connection")
	component_conflict_resolve = "kick_old" -- the newest connection is the right one
