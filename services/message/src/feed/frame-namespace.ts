/** Namespace of the frames between XMPP servers and us (deploy/xmpp/README.md). */
export const frameNamespace = 'urn:yingchuang:im:2'
