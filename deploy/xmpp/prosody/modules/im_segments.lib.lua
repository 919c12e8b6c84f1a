-- A log of numbered entries in segment files, each named by the first number it may hold. A line is a checksum, a tab and
-- text: `<entry seq='n' …` or the marks `<log …/>`. Numbers are never used twice: what was damaged or refused leaves a hole.
--
-- A group of entries is written, brought to the disk by the caller, and then committed or made void: blanks over its lines
-- (which need no space on a full disk) keep it from coming back. Nothing here needs Prosody to run.

local lfs = require "lfs";
local md5 = require "util.hashes".md5;

local methods = {};
local metatable = { __index = methods };

local function encode(text) return md5(text, true):sub(1, 16).."\t"..text.."\n"; end

-- The text of a line, or nil when it is damaged.
local function decode(line)
	local text = line:sub(18, -2);
	return line:sub(1, 16) == md5(text, true):sub(1, 16) and text or nil;
end

local function number_of(text) return math.tointeger(tonumber(text:match("^<entry seq='(%d+)'"))); end

local function read_marks(self, text)
	local id, stored, released, epoch = text:match("^<log id='(%x+)' stored='(%d+)' released='(%d+)' epoch='(%d+)'/>$");
	if not id then return; end
	self.id = id;
	self.stored = math.max(self.stored, math.tointeger(stored));
	self.released = math.max(self.released, math.tointeger(released));
	self.epoch = math.max(self.epoch, math.tointeger(epoch));
end

local function marks_line(self)
	return encode(("<log id='%s' stored='%d' released='%d' epoch='%d'/>"):format(self.id, self.stored, self.released, self.epoch));
end

-- Reads the marks of a segment. Returns its last number, and how many bytes behind that are damaged.
local function scan(self, path)
	local last, damaged = nil, 0;
	local file = assert(io.open(path, "rb"));
	file:setvbuf("full", 1024 * 1024);
	local line = file:read("L");
	while line do
		local text = decode(line);
		local seq = text and number_of(text);
		if seq then
			last, damaged = seq, 0;
		elseif text then
			read_marks(self, text);
		elseif line:find("%S") then
			damaged = damaged + #line;
		end
		line = file:read("L");
	end
	file:close();
	return last, damaged;
end

-- Opens the log in a folder and finds where an earlier run ended. new_id() names a new log.
local function open(folder, segment_bytes, new_id)
	local self = setmetatable({
		folder = folder, segment_bytes = segment_bytes, stored = 0, released = 0, epoch = 0, bytes = 0, last = 0,
		segments = {}, -- of { first, last, path, bytes }, oldest first
		unsynced = { [folder] = true }, -- what the next sync has to cover
	}, metatable);
	lfs.mkdir(folder);
	local segments = self.segments;
	for name in lfs.dir(folder) do
		local first = name:match("^(%d+)%.log$");
		if first then
			local path = folder.."/"..name;
			table.insert(segments, { first = math.tointeger(tonumber(first)), path = path, bytes = lfs.attributes(path, "size") });
		end
	end
	table.sort(segments, function (a, b) return a.first < b.first; end);
	local newest, seen, damaged = segments[#segments], nil, 0;
	if newest then
		seen, damaged = scan(self, newest.path);
		self.last = seen or newest.first - 1;
	end
	for i = #segments - 1, 1, -1 do
		segments[i].last = segments[i + 1].first - 1;
		if not self.id then scan(self, segments[i].path); end
	end
	self.id = self.id or new_id();
	self.next = math.max(self.last, self.stored, self.released) + 1;
	-- Damage at the end may have been entries: their numbers are not used again. An entry takes a hundred bytes and more.
	if damaged > 0 then self.next = self.next + damaged // 100 + 1; end
	if newest then newest.last = self.next - 1; end
	if newest and newest.last < newest.first then table.remove(segments); end -- the next segment takes its place
	for _, segment in ipairs(segments) do self.bytes = self.bytes + segment.bytes; end
	return self;
end

local function grow(self, by)
	local segment = self.segments[#self.segments];
	segment.bytes, self.bytes, self.size = segment.bytes + by, self.bytes + by, self.size + by;
end

local function remove_segment(self, index)
	local segment = table.remove(self.segments, index);
	os.remove(segment.path);
	self.bytes = self.bytes - segment.bytes;
	self.unsynced[segment.path] = nil;
end

local function finish_segment(self)
	if not self.file then return; end
	self.file:close();
	self.file = nil;
	self.segments[#self.segments].last = self.next - 1;
end

local function start_segment(self)
	local path = ("%s/%020d.log"):format(self.folder, self.next);
	local line = marks_line(self);
	local file, problem = io.open(path..".new", "wb");
	if not file then return nil, problem; end
	file:setvbuf("no"); -- one write for a group, and nothing left over when it fails
	local ok;
	ok, problem = file:write(line);
	if ok then ok, problem = os.rename(path..".new", path); end
	if not ok then
		file:close();
		return nil, problem;
	end
	self.file, self.size, self.header_size, self.committed_size = file, 0, #line, #line;
	table.insert(self.segments, { first = self.next, path = path, bytes = 0 });
	grow(self, #line);
	self.unsynced[self.folder] = true;
	return true;
end

-- What stands in the segment after the last committed group is void, and nothing more is written to it.
local function close_void(self)
	local length = self.file:seek("end") or self.size;
	local ok = self.file:seek("set", self.committed_size) and self.file:write(("\n"):rep(length - self.committed_size));
	grow(self, length - self.size);
	self.unsynced[self.segments[#self.segments].path] = true;
	finish_segment(self);
	if self.committed_size == self.header_size and self.segments[2] then remove_segment(self, #self.segments); end
	return ok and true or false;
end

-- Writes entries, `"<entry seq='n' "..rest` for each rest; commit() or void() follows. Returns the paths a sync has to
-- cover; or nil, the problem, and whether they are void.
function methods:write(rests)
	if self.file and self.size > self.segment_bytes then finish_segment(self); end
	if not self.file then
		local ok, problem = start_segment(self);
		if not ok then return nil, problem, true; end
	end
	local lines = {};
	for i = 1, #rests do lines[i] = encode(("<entry seq='%d' "):format(self.next + i - 1)..rests[i]); end
	local text = table.concat(lines);
	self.next = self.next + #rests;
	self.open_group = true;
	local ok, problem = self.file:write(text);
	if not ok then return nil, problem, self:void(); end
	grow(self, #text);
	self.unsynced[self.segments[#self.segments].path] = true;
	local paths = {};
	for path in pairs(self.unsynced) do paths[#paths + 1] = path; end
	return paths;
end

function methods:commit()
	self.last, self.committed_size = self.next - 1, self.size;
	self.unsynced, self.open_group = {}, false;
end

-- The group that was written last is refused. False when it can't be made void and may come back.
function methods:void()
	self.open_group = false;
	return close_void(self);
end

-- Notes how far the reader is, in memory.
function methods:mark(marks)
	for name, value in pairs(marks) do self[name] = math.max(self[name], value); end
	self.marks_changed = true;
end

-- Brings the marks to the file, then removes segments that are released. Lost marks only make entries come again.
function methods:write_marks()
	if not self.marks_changed or self.open_group then return; end
	if self.file then
		local line = marks_line(self);
		if self.file:write(line) then
			grow(self, #line);
			self.committed_size = self.size;
		else
			close_void(self);
		end
	else
		start_segment(self); -- its header has them
	end
	self.marks_changed = false;
	while self.segments[1] and self.segments[1].last and self.segments[1].last <= self.released do remove_segment(self, 1); end
end

function methods:close()
	self:write_marks();
	finish_segment(self);
end

local reader = {};
local reader_metatable = { __index = reader };

-- Reads the committed entries from a number on, one after the other.
function methods:read_from(seq)
	return setmetatable({ log = self, at = seq }, reader_metatable);
end

function reader:close()
	if self.file then self.file:close(); end
	self.file, self.segment = nil, nil;
end

-- Opens the segment that may hold self.at. Otherwise returns the first number that may be in a later one, or nil and a
-- problem when the file is there and can't be opened.
local function open_segment(self, limit)
	self:close();
	local segments, i = self.log.segments, #self.log.segments;
	while i > 0 and segments[i].first > self.at do i = i - 1; end
	local segment = segments[i];
	if not segment or segment.last and self.at > segment.last then return segments[i + 1] and segments[i + 1].first or limit + 1; end
	local file, problem = io.open(segment.path, "rb");
	if not file and lfs.attributes(segment.path) then return nil, problem; end
	if not file then return (segment.last or limit) + 1; end
	file:setvbuf("full", 65536);
	self.file, self.segment = file, segment;
end

-- The first number from self.at on that is there, with its text, or that may be in another segment; or nil and a problem.
local function look_ahead(self, limit)
	if not self.file or self.segment.last and self.at > self.segment.last then
		local elsewhere, problem = open_segment(self, limit);
		if not self.file then return elsewhere, problem; end
	end
	local behind = (self.segment.last or limit) + 1;
	self.file:seek("cur", 0); -- forgets that it once was at the end
	local line = self.file:read("L");
	while line do
		local seq = number_of(line:sub(18, 60));
		if not seq or seq >= self.at then -- what is passed over need not be whole
			local text = decode(line);
			seq = text and number_of(text);
			if seq and seq >= behind then break; end
			if seq and seq >= self.at then return seq, text; end
		end
		line = self.file:read("L");
	end
	self:close();
	return behind;
end

-- The next entry up to a limit: its number and text; for a hole its first number, nil and its last number; nil when there
-- is no more, or nil and a problem.
function reader:next(limit)
	local at = self.at;
	if at > limit then return nil; end
	if not self.ahead then
		local seq, text = look_ahead(self, limit);
		if not seq then return nil, text; end
		self.ahead, self.text = seq, text;
	end
	if self.ahead > at then
		self.at = math.min(self.ahead, limit + 1);
		if not self.text then self.ahead = nil; end
		return at, nil, self.at - 1;
	end
	local text = self.text;
	self.at, self.ahead, self.text = at + 1, nil, nil;
	return at, text;
end

return { open = open };
