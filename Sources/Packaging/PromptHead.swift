import ChatTemplate
import CompileTime
import Glibc
import Support

/// The tokens that every prompt of a program begins with, those before its image or its words; the code that finds them is the program's own.
/// `tokenizer`: its blob; `bos`: nil where a prompt gets none.
public func promptHead(
    of template: PromptTemplate, tokenizer: [UInt8], vocabulary: Int, hasImages: Bool, bos: Int32?
) throws(Diagnostic) -> [Int32] {
    guard let vocabulary = Int32(exactly: vocabulary) else { throw .error("a vocabulary of \(vocabulary) rows does not fit in 32 bits") }
    let texts: [String?] = [
        template.alone, template.before, template.image, template.between, template.after, template.system?.start, template.system?.alone,
        template.system?.before, template.systemText,
    ]
    let strings = texts.map { $0.map { strdup($0) } ?? nil }
    defer { for string in strings { free(string) } }
    var frame = lmmc_prompt_frame(
        alone: strings[0], before: strings[1], image: strings[2], between: strings[3], after: strings[4], system_start: strings[5],
        system_alone: strings[6], system_before: strings[7], system: strings[8], cuts_system: template.system?.isCut ?? false,
        has_images: hasImages, adds_bos: bos != nil, bos: bos ?? -1, vocabulary: vocabulary)
    var tokens: UnsafeMutablePointer<Int32>?
    var count: UInt64 = 0
    var error = [CChar](repeating: 0, count: Int(LMMC_PROMPT_HEAD_ERROR))
    guard lmmc_prompt_head(tokenizer, UInt64(tokenizer.count), &frame, &tokens, &count, &error) else {
        let message = pathText(error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) })
        throw .error("the template's text cannot be tokenised: \(message)")
    }
    defer { free(tokens) }
    return Array(UnsafeBufferPointer(start: tokens, count: Int(count)))
}
