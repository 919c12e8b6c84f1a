-- Orders of the message service: iq of type set from the component to the domain, each answered with an empty result
-- or an error.

local st = require "util.stanza";
local jid = require "util.jid";
local services = module:depends("im_services");

local NS = "urn:yingchuang:im:1";
local component = module:get_option_string("im_component");

local orders = {};

-- <close-streams user='…' resource='…' condition='not-authorized' text='…'/>; without a resource all streams.
orders["close-streams"] = function (order)
	local username, resource = order.attr.user, order.attr.resource;
	if not username then return "bad-request"; end
	services.forget_user(username);
	local user = prosody.hosts[module.host].sessions[username];
	local closing = {};
	for name, session in pairs(user and user.sessions or {}) do
		if not resource or name == resource then closing[#closing + 1] = session; end
	end
	for _, session in ipairs(closing) do
		session:close({ condition = order.attr.condition or "not-authorized", text = order.attr.text });
	end
end

-- <deliver><message from='…' to='…'>…</message></deliver>: routed as if it came from there. The result means taken.
orders["deliver"] = function (order)
	local stanza = order:get_child("message", "jabber:component:accept") or order:get_child("message", "jabber:client")
		or order:get_child("message");
	if not stanza then return "bad-request"; end
	local to, from = jid.prep(stanza.attr.to), jid.prep(stanza.attr.from);
	if not to or not from or not prosody.hosts[jid.host(to)] then return "bad-request"; end
	stanza = st.clone(stanza);
	stanza.attr.xmlns, stanza.attr.to, stanza.attr.from = nil, to, from;
	stanza:maptags(function (child)
		if child.attr.xmlns == "jabber:client" or child.attr.xmlns == "jabber:component:accept" or child.attr.xmlns == NS then
			child.attr.xmlns = nil;
		end
		return child;
	end);
	prosody.core_post_stanza(prosody.hosts[module.host], stanza);
end

-- <forget-user user='…'/>: nothing known about the user is used again.
orders["forget-user"] = function (order)
	if not order.attr.user then return "bad-request"; end
	services.forget_user(order.attr.user);
end

for name, carry_out in pairs(orders) do
	module:hook("iq-set/host/"..NS..":"..name, function (event)
		local origin, stanza = event.origin, event.stanza;
		if origin.type ~= "component" or origin.host ~= component then
			origin.send(st.error_reply(stanza, "auth", "forbidden"));
			return true;
		end
		local refusal = carry_out(stanza.tags[1]);
		origin.send(refusal and st.error_reply(stanza, "modify", refusal) or st.reply(stanza));
		return true;
	end);
end
