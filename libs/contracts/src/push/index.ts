export * from './badges.ts'
export * from './tokens.ts'
