export * from './badges.ts'
export * from './broadcasts.ts'
export * from './notify.ts'
export * from './tokens.ts'
