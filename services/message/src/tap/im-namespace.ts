/** Namespace of the elements between the XMPP server and us (deploy/xmpp/README.md). */
export const imNamespace = 'urn:yingchuang:im:1'
