-- Runs the pure modules of the XMPP server with plain Lua and reports in TAP. Arguments: the folder of the modules, a folder to work in.

package.path = "/usr/lib/prosody/?.lua;"..package.path;
package.cpath = "/usr/lib/prosody/?.so;"..package.cpath;

local modules, work = arg[1], arg[2];
local count, failed = 0, 0;

local tap = { work = work };

function tap.load(name) return dofile(modules.."/"..name..".lib.lua"); end

function tap.ok(condition, name, more)
	count = count + 1;
	if not condition then failed = failed + 1; end
	print((condition and "ok " or "not ok ")..count.." - "..name);
	if not condition and more then print("# "..tostring(more):gsub("\n", "\n# ")); end
end

function tap.equal(found, wanted, name)
	tap.ok(found == wanted, name, ("found %s, wanted %s"):format(found, wanted));
end

function tap.finish()
	print("1.."..count);
	os.exit(failed == 0 and 0 or 1);
end

return tap;
