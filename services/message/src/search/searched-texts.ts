import type { MessageDocument } from '../messages/message-document.ts'
import { foldText } from './fold-text.ts'

const fileType = 9

/** Folded texts of a message: the name of a file beside its content. */
export const searchedTexts = ({
  contentType,
  content,
  fileName,
}: Pick<MessageDocument, 'contentType' | 'content' | 'fileName'>): string[] =>
  contentType === fileType && fileName ? [foldText(content), foldText(fileName)] : [foldText(content)]
