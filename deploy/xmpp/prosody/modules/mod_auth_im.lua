-- Logins: SASL PLAIN, decided by the user service. The password is 32 hex digits (an access token or an md5), anything
-- else is refused without asking. A service out of reach is a temporary failure, not a wrong password.

local nodeprep = require "util.encodings".stringprep.nodeprep;
local async = require "util.async";
local services = module:depends("im_services");

local refusal = "Password not verified"; -- the text client apps know

local handler = {};
local handler_mt = { __index = handler };

local function new_handler(session)
	return setmetatable({ session = session }, handler_mt);
end

function handler:mechanisms() return { PLAIN = true }; end

function handler:select(mechanism)
	if mechanism ~= "PLAIN" then return false; end
	self.selected = mechanism;
	return true;
end

function handler:clean_clone() return new_handler(self.session); end

function handler:process(message)
	local authzid, authcid, password = (message or ""):match("^([^%z]*)%z([^%z]+)%z([^%z]+)$");
	if not authcid then return "failure", "malformed-request"; end
	-- Some libraries send the whole JID as authcid or authzid.
	local username = nodeprep(authcid:match("^([^@]+)@") or authcid);
	if authzid ~= "" and (authzid:match("^([^@]+)@") or authzid) ~= username then
		return "failure", "invalid-authzid", "Only the own account can be used";
	end
	if not username or not username:match("^%d+$") or #username > 15 or not password:match("^%x+$") or #password ~= 32 then
		return "failure", "not-authorized", refusal;
	end
	local allowed = services.authenticate(tonumber(username), password, self.session.ip);
	if allowed == nil then return "failure", "temporary-auth-failure", "Accounts can't be reached"; end
	if not allowed then return "failure", "not-authorized", refusal; end
	services.remember_user(username, "active");
	self.username = username;
	return "success";
end

local provider = {};

function provider.get_sasl_handler(session) return new_handler(session); end

-- Outside of a client's stream nothing can be asked: then unknown means existing, the senders there are our services.
function provider.user_exists(username)
	if not username:match("^%d+$") then return false; end
	local state;
	if async.ready() then state = services.user_state(username); else state = services.known_user_state(username); end
	return state ~= "missing";
end

function provider.test_password() return nil, "not supported"; end
function provider.get_password() return nil, "not supported"; end
function provider.set_password() return nil, "not supported"; end
function provider.create_user() return nil, "not supported"; end
function provider.delete_user() return nil, "not supported"; end
function provider.users() return function () end; end

module:provides("auth", provider);
