/**
 * Every error of the API, once: thrown by name, written by the edge as `resultCode` and `resultMsg`, documented from here.
 * `{0}` is filled from the error's arguments. Codes are 0 or at least 1000000: client apps take 2..999999 for outcomes.
 * 1030101 and 1030102 are used for token problems only, because apps log out on them. Source: spec codes.md.
 */
export const errors = {
  Failed: { code: 0, zh: '接口调用失败', en: 'Failed' },
  InvalidParams: { code: 1010101, zh: '请求参数验证失败，缺少必填参数或参数错误', en: 'Invalid parameters' },
  MissingParam: { code: 1010102, zh: '缺少请求参数', en: 'A required parameter is missing' },
  RequestTooLarge: { code: 1010103, zh: '请求内容过大', en: 'Request too large' },
  InternalError: { code: 1020101, zh: '接口内部异常', en: 'Internal error' },
  LinkExpired: { code: 1020102, zh: '链接已失效', en: 'The link is no longer valid' },
  RateLimited: { code: 1020103, zh: '请求过于频繁，请{0}秒后再试', en: 'Too many requests, try again in {0} seconds' },
  ServiceUnavailable: { code: 1020104, zh: '服务暂不可用，请稍后再试', en: 'Service unavailable, try again later' },
  UnknownEndpoint: { code: 1020105, zh: '接口不存在', en: 'No such endpoint' },
  FeatureDisabled: { code: 1020106, zh: '该功能未开启', en: 'This feature is not enabled' },
  TokenMissing: { code: 1030101, zh: '缺少访问令牌', en: 'Access token missing' },
  TokenInvalid: { code: 1030102, zh: '访问令牌过期或无效', en: 'Access token expired or invalid' },
  MacInvalid: { code: 1030103, zh: '权限验证失败', en: 'Verification failed' },
  PermissionDenied: { code: 1030201, zh: '权限不足', en: 'Permission denied' },
  SignatureInvalid: { code: 1030202, zh: '授权认证失败', en: 'Request signature invalid' },
  AccountNotFound: { code: 1040101, zh: '帐号不存在, 请注册!', en: 'The account does not exist' },
  WrongPassword: { code: 1040102, zh: '帐号或密码错误', en: 'Wrong account or password' },
  WrongOldPassword: { code: 1040103, zh: '原密码错误', en: 'The old password is wrong' },
  SmsCodeInvalid: { code: 1040104, zh: '短信验证码错误或已过期', en: 'The verification code is wrong or expired' },
  SmsSendFailed: { code: 1040105, zh: '发送验证码失败,请重发!', en: 'Sending the code failed' },
  SmsTooFrequent: {
    code: 1040106,
    zh: '请不要频繁请求短信验证码，等待{0}秒后再次请求',
    en: 'Wait {0} seconds before asking for another code',
  },
  TelephoneTaken: { code: 1040107, zh: '手机号码已注册!', en: 'This number is already registered' },
  AccountTaken: { code: 1040108, zh: '通讯号已存在', en: 'This account name is taken' },
  AccountChangedBefore: { code: 1040109, zh: '通讯号只能修改一次', en: 'The account name can be changed once only' },
  UserNotFound: { code: 1040110, zh: '该用户不存在!', en: 'No such user' },
  InviteCodeRequired: { code: 1040111, zh: '请填写邀请码', en: 'Invite code required' },
  InviteCodeInvalid: { code: 1040112, zh: '邀请码无效', en: 'Invite code invalid' },
  RegisterClosed: { code: 1040113, zh: '注册功能已关闭', en: 'Registration is closed' },
  LoginTooOften: {
    code: 1040114,
    zh: '登录失败次数过多，请{0}分钟后再试',
    en: 'Too many failed logins, try again in {0} minutes',
  },
  TelephoneInvalid: { code: 1040115, zh: '手机号码格式错误', en: 'Invalid telephone number' },
  AccountUnknown: { code: 1040116, zh: '通讯号错误!', en: 'No such account name' },
  BalanceTooLow: { code: 1040201, zh: '余额不足', en: 'Insufficient balance' },
  PayPasswordNotSet: { code: 1040202, zh: '支付密码未设置', en: 'Payment password not set' },
  PayPasswordWrong: { code: 1040203, zh: '支付密码错误', en: 'Wrong payment password' },
  ImageCodeMissing: { code: 1040215, zh: '请输入图形验证码', en: 'Enter the image code' },
  ImageCodeWrong: { code: 1040216, zh: '图形验证码错误', en: 'Wrong image code' },
  WxNotBound: { code: 1040221, zh: '请先微信授权，没有授权不能提现', en: 'Bind WeChat first' },
  WxCodeInvalid: { code: 1040222, zh: '获取openid失败', en: 'The WeChat code is invalid' },
  AmountTooSmall: { code: 1040223, zh: '提现最低限制0.5元', en: 'The minimum is 0.5 yuan' },
  WithdrawFailed: { code: 1040224, zh: '提现失败,请联系客服!', en: 'Withdrawal failed' },
  PayTypeInvalid: { code: 1040301, zh: '没有选择支付方式!', en: 'Choose a payment type' },
  AccountLocked: { code: 1040304, zh: '您的账号已被锁定', en: 'Your account is locked' },
  FollowRefused: { code: 1100801, zh: '关注失败，目标用户拒绝关注', en: 'The user does not accept followers' },
  BlacklistedByTarget: { code: 1100802, zh: '关注失败，目标用户将你拉黑', en: 'The user has blocked you' },
  CannotAddSelf: { code: 1100803, zh: '不能操作自己', en: 'You cannot do this to yourself' },
  AddWayNotAllowed: {
    code: 1100804,
    zh: '添加失败,该用户禁止该方式添加好友',
    en: 'The user does not accept being added this way',
  },
  NotFriends: { code: 1100805, zh: '对方不是你的好友!', en: 'You are not friends' },
  NotOnBlacklist: { code: 1100807, zh: '该用户不在黑名单中', en: 'The user is not on your blacklist' },
  AlreadyOnBlacklist: { code: 1100808, zh: '不能重复拉黑好友', en: 'The user is already on your blacklist' },
  NoFriendRequest: { code: 1100809, zh: '对方没有申请加你为好友', en: 'There is no request from this user' },
  SystemAccountProtected: { code: 1100810, zh: '不能操作系统帐号', en: 'System accounts are protected' },
  LabelNameTaken: { code: 1100811, zh: '标签名称已存在', en: 'This label exists' },
  LabelNotFound: { code: 1100812, zh: '标签不存在', en: 'No such label' },
  RoomNotFound: { code: 1200101, zh: '群组不存在或已解散!', en: 'No such room' },
  RoomLocked: { code: 1200102, zh: '该群组已被后台锁定', en: 'The room is locked' },
  NotRoomMember: { code: 1200103, zh: '不是群成员，权限不足!', en: 'You are not a member' },
  MemberNotFound: { code: 1200104, zh: '该成员不在群组中', en: 'No such member' },
  RoomFull: { code: 1200105, zh: '超过房间最大人数，加入房间失败', en: 'The room is full' },
  JoinNeedsApproval: { code: 1200106, zh: '邀请群成员需要群主同意!', en: 'The owner must approve' },
  NotFriendsCannotInvite: { code: 1200107, zh: '不是好友不能邀请!', en: 'Only friends can be invited' },
  InviteNotAllowed: { code: 1200108, zh: '群主禁止成员邀请好友', en: 'Members may not invite' },
  OwnerCannotLeave: {
    code: 1200109,
    zh: '群主不能退出群组，请先转让或解散',
    en: 'Transfer or dissolve the room first',
  },
  OwnerOnly: { code: 1200110, zh: '只有群主才有此权限', en: 'Only the owner may do this' },
  JidTaken: { code: 1200112, zh: '群组已存在', en: 'The room exists already' },
  ShareNotFound: { code: 1200114, zh: '文件不存在', en: 'No such file' },
  UploadNotAllowed: { code: 1200115, zh: '群主禁止成员上传群文件', en: 'Members may not upload files' },
  NoticeNotFound: { code: 1200116, zh: '公告不存在', en: 'No such notice' },
  CompanyNotFound: { code: 1300101, zh: '该公司不存在', en: 'No such company' },
  CompanyNameTaken: { code: 1300102, zh: '公司名称已存在', en: 'The company name is taken' },
  NotEmployee: { code: 1300103, zh: '权限不足,非本公司员工', en: 'You are not in this company' },
  ManagerOnly: { code: 1300104, zh: '需要公司管理员及以上权限', en: 'Managers only' },
  CreatorOnly: { code: 1300105, zh: '需要创建者权限', en: 'The creator only' },
  DepartmentNotFound: { code: 1300106, zh: '部门不存在', en: 'No such department' },
  DepartmentNameTaken: { code: 1300107, zh: '部门名称重复', en: 'The department name is taken' },
  DepartmentProtected: { code: 1300108, zh: '没有相关权限，不能更改该部门', en: 'This department is protected' },
  EmployeeExists: { code: 1300109, zh: '不能重复添加', en: 'Already in the company' },
  EmployeeNotFound: { code: 1300110, zh: '员工不存在', en: 'No such employee' },
  CreatorProtected: { code: 1300111, zh: '公司创建者不能被删除或更改', en: 'The creator is protected' },
  MessageNotFound: { code: 1400101, zh: '消息不存在', en: 'No such message' },
  RecallNotAllowed: { code: 1400102, zh: '只能撤回自己的消息', en: 'You may recall your own messages only' },
  RecallExpired: { code: 1400103, zh: '已超过撤回时限', en: 'Too late to recall' },
  CipherFailed: { code: 1400104, zh: '加密或解密失败', en: 'Encryption or decryption failed' },
  SearchTooBroad: {
    code: 1400106,
    zh: '搜索范围过大，请缩小时间或聊天范围',
    en: 'Too much to search, narrow the time or the chat',
  },
  PushFailed: { code: 1400105, zh: '推送失败', en: 'Push failed' },
  AlreadyCollected: { code: 1410101, zh: '不能重复收藏', en: 'Already collected' },
  CourseNotFound: { code: 1410102, zh: '数据不存在或已删除!', en: 'No such course' },
  CourseNotAllowed: { code: 1410103, zh: '群主禁止成员开启讲课', en: 'Courses are not allowed in this room' },
  FileMissing: { code: 1500101, zh: '缺少上传文件', en: 'No file in the request' },
  FileTooLarge: { code: 1500102, zh: '文件过大', en: 'File too large' },
  FileTypeNotAllowed: { code: 1500103, zh: '不支持的文件类型', en: 'File type not allowed' },
  FileNotFound: { code: 1500104, zh: '文件不存在', en: 'No such file' },
  UploadFailed: { code: 1500105, zh: '表单解析失败', en: 'The form could not be read' },
  NotPublicAccount: { code: 1600101, zh: '您不是公众号，暂时无法登录', en: 'Not a public account' },
  MenuNotFound: { code: 1600102, zh: '菜单不存在', en: 'No such menu' },
  BroadcastNotFound: { code: 1600103, zh: '群发任务不存在', en: 'No such broadcast' },
  ReplyNotFound: { code: 1600104, zh: '自动回复不存在', en: 'No such reply' },
} as const satisfies Record<string, ErrorEntry>

export interface ErrorEntry {
  code: number
  zh: string
  en: string
}

export type ErrorName = keyof typeof errors

/** Errors any endpoint may answer with. Contracts list only their own. */
export const commonErrors = [
  'MissingParam',
  'InvalidParams',
  'RequestTooLarge',
  'RateLimited',
  'InternalError',
  'ServiceUnavailable',
] as const satisfies ErrorName[]

export type Language = 'zh' | 'en'

/** A text in both languages of the API. */
export interface LocalizedText {
  zh: string
  en: string
}

/**
 * The one error that operations throw. The edge turns it into the envelope; nothing else of it reaches a client.
 * `detail` becomes `detailMsg` (English, for developers: the parameter's name), `args` fill `{0}`, `text` replaces the table's text.
 * `retryAfter` is in seconds and becomes the `Retry-After` header.
 */
export class ContractError extends Error {
  readonly errorName: ErrorName
  readonly detail: string | undefined
  readonly args: readonly (string | number)[]
  readonly text: LocalizedText | undefined
  readonly retryAfter: number | undefined

  constructor(
    errorName: ErrorName,
    more: {
      detail?: string
      args?: readonly (string | number)[]
      text?: LocalizedText
      retryAfter?: number
      cause?: unknown
    } = {},
  ) {
    super(more.detail ? `${errorName}: ${more.detail}` : errorName, { cause: more.cause })
    this.name = 'ContractError'
    this.errorName = errorName
    this.detail = more.detail
    this.args = more.args ?? []
    this.text = more.text
    this.retryAfter = more.retryAfter
  }

  get code(): number {
    return errors[this.errorName].code
  }

  textIn(language: Language): string {
    const template = (this.text ?? errors[this.errorName])[language]
    return template.replace(/\{(\d)\}/g, (whole, index) => String(this.args[Number(index)] ?? whole))
  }
}

/** An error of an OAuth endpoint, written as RFC 6749 §5.2 says: HTTP status and `{error, error_description}`. */
export class OAuthError extends Error {
  readonly status: number
  readonly error: string

  constructor(status: number, error: string, description: string) {
    super(description)
    this.name = 'OAuthError'
    this.status = status
    this.error = error
  }
}
