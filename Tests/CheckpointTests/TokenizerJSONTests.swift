import Foundation
import Support
import TestSupport
import Testing

@testable import Checkpoint

/// Reading `tokenizer.json`; that programs encode as the original does is Tests/Runtime's to say.
@Suite struct TokenizerJSONTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path + "/Golden/tokenizers"

    private func document(_ name: String) throws -> [String: Any] {
        let data = try Data(contentsOf: URL(filePath: "\(Self.folder)/\(name)/tokenizer.json"))
        return try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    private func read(_ document: [String: Any], vocabularySize: Int = 1000) throws(Diagnostic) -> MergeListModel {
        try read([UInt8](try! JSONSerialization.data(withJSONObject: document)), vocabularySize: vocabularySize)
    }

    private func read(_ bytes: [UInt8], vocabularySize: Int = 1000) throws(Diagnostic) -> MergeListModel {
        try MergeListModel(JSONCursor(bytes: bytes, file: "t"), vocabularySize: vocabularySize)
    }

    /// A byte-level tokenizer of these tokens.
    private func small(_ vocabulary: String, merges: String = "", added: String = "") throws(Diagnostic) -> MergeListModel {
        try read(
            Array(
                """
                {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "added_tokens": [\(added)],
                 "model": {"type": "BPE", "vocab": {\(vocabulary)}, "merges": [\(merges)]}}
                """.utf8))
    }

    @Test func everyKind() throws {
        let llama3 = try read(document("llama3"))
        #expect(llama3.splitting == .byteLevel(.llama3, digits: false) && llama3.keepsWholeWords && llama3.addsBOS)
        #expect(
            llama3.bosID == llama3.special("<|begin_of_text|>") && llama3.hasLlama3Turns
                && Tokenizer.mergeList(llama3).templateName == "llama-3")
        let smollm2 = try read(document("smollm2"))
        #expect(smollm2.splitting == .byteLevel(.gpt2, digits: true) && smollm2.bosID == nil && !smollm2.addsBOS)
        #expect(smollm2.kinds.count { $0 == .userDefined } == 1 && Tokenizer.mergeList(smollm2).templateName == "none")
        #expect(try read(document("prepend")).splitting == .sentencePiece(.always, splitsWords: false))
        #expect(try read(document("first")).splitting == .sentencePiece(.onceUnlessSpaced, splitsWords: false))
        let words = try read(document("words"))
        #expect(words.splitting == .sentencePiece(.unlessSpaced, splitsWords: true) && words.bosID == 1 && words.addsBOS)
        #expect(words.kinds.count { $0 == .byte } == 256 && Tokenizer.mergeList(words).templateName == "vicuna_v1")
    }

    /// Keys are bytes: é and e + U+0301 are two tokens, which Swift's strings are not.
    @Test func keysAreBytes() throws {
        var document = try document("prepend")
        var model = try #require(document["model"] as? [String: Any])
        var vocabulary = try #require(model["vocab"] as? [String: Any])
        let text = String(decoding: try JSONSerialization.data(withJSONObject: document), as: UTF8.self)
        let both = text.replacing("\"vocab\":{", with: "\"vocab\":{\"caf\\u00e9x\":900,\"cafe\\u0301x\":901,\"\\ud83d\\ude00x\":902,")
        let read = try read(Array(both.utf8))
        #expect(Array(read.bytes(of: 900)) == Array("caf\u{e9}x".utf8) && Array(read.bytes(of: 901)) == Array("cafe\u{301}x".utf8))
        #expect(Array(read.bytes(of: 902)) == Array("\u{1F600}x".utf8) && read.kinds[899] == .unused && read.bytes(of: 899).isEmpty)
        vocabulary["far"] = 1000
        model["vocab"] = vocabulary
        document["model"] = model
        #expect(errorText { () throws(Diagnostic) in try self.read(document).count }.contains("token id 1000, at byte"))
    }

    @Test func bothFormsOfMerges() throws {
        let model = try small(
            "\"a\": 0, \"b\": 1, \"ab\": 2, \"\u{120}\": 3, \"\u{120}ab\": 4, \"x y\": 5, \"<s>\": 6",
            merges: "\"a b\", [\"\u{120}\", \"ab\"]",
            added:
                "{\"id\": 6, \"content\": \"<s>\", \"special\": true}, {\"id\": 9, \"content\": \"new\", \"special\": false}, {\"id\": 5000, \"content\": \"far\"}"
        )
        #expect(model.merges == [.init(left: 0, right: 1, result: 2), .init(left: 3, right: 2, result: 4)])
        #expect(Array(model.bytes(of: 4)) == Array(" ab".utf8))
        // A text that is not in the alphabet of bytes stays as it is and is never found; ids between have no text.
        #expect(Array(model.bytes(of: 5)) == Array("x y".utf8) && model.kinds[5] == .unused)
        #expect(model.kinds == [.normal, .normal, .normal, .normal, .normal, .unused, .control, .unused, .unused, .userDefined])
        #expect(model.special("<s>") == 6 && model.special("new") == nil)
    }

    @Test func refusals() throws {
        func failure(_ name: String, _ spoil: (inout [String: Any]) -> Void) throws -> String {
            var document = try document(name)
            spoil(&document)
            return errorText { () throws(Diagnostic) in try read(document).count }
        }
        func model(_ key: String, _ value: Any) -> (inout [String: Any]) -> Void {
            { document in
                var model = document["model"] as! [String: Any]
                model[key] = value
                document["model"] = model
            }
        }
        let table: [(String, String, Any, String)] = [
            (
                "llama3", "normalizer", ["type": "NFC"],
                "key 'normalizer.type' is 'NFC', which is not supported here, at file 't'; expected no normalizer beside 'ByteLevel'"
            ),
            (
                "prepend", "normalizer", ["type": "Precompiled"],
                "key 'normalizer.type' is 'Precompiled', which is not supported here, at file 't'; expected 'Prepend' and 'Replace', as SentencePiece escapes spaces"
            ),
            (
                "prepend", "pre_tokenizer", ["type": "Whitespace"],
                "key 'normalizer.normalizers[0].type' is 'Prepend', which is not supported here, at file 't'; expected no normalizer beside 'Metaspace'"
            ),
            (
                "first", "pre_tokenizer", ["type": "Whitespace"],
                "key 'pre_tokenizer.type' is 'Whitespace', which is not supported here, at file 't'; expected 'ByteLevel' or 'Metaspace'"
            ),
            (
                "first", "pre_tokenizer", ["type": "Metaspace", "replacement": "_"],
                "key 'pre_tokenizer.replacement' is '_', at file 't'; expected '\u{2581}'"
            ),
            ("first", "pre_tokenizer", NSNull(), "nothing escapes spaces, at file 't'; expected 'ByteLevel', 'Metaspace' or 'Replace'"),
            (
                "smollm2", "pre_tokenizer", ["type": "ByteLevel", "add_prefix_space": true],
                "key 'pre_tokenizer.add_prefix_space' is true, which is not supported, at file 't'; expected false"
            ),
            (
                "smollm2", "decoder", ["type": "WordPiece"],
                "key 'decoder.type' is 'WordPiece', which is not supported here, at file 't'; expected 'ByteLevel'"
            ),
            (
                "smollm2", "post_processor", ["type": "BertProcessing"],
                "key 'post_processor.type' is 'BertProcessing', which is not supported here, at file 't'; expected 'TemplateProcessing' or 'ByteLevel'"
            ),
        ]
        for (name, key, value, message) in table {
            #expect(try failure(name) { $0[key] = value } == "error: " + message)
        }
        for (ids, problem) in [
            ([-1], "key 'post_processor' puts token -1 first"), ([1 << 40], "key 'post_processor' puts token 1099511627776 first"),
            ([1, 1], "key 'post_processor.single' puts no known token before the text"),
            ([], "key 'post_processor.single' puts no known token before the text"),
        ] as [([Int], String)] {
            let step: [String: Any] = [
                "type": "TemplateProcessing",
                "single": [["SpecialToken": ["id": "s", "type_id": 0]], ["Sequence": ["id": "A", "type_id": 0]]],
                "special_tokens": ["s": ["id": "s", "ids": ids, "tokens": ["s"]]],
            ]
            #expect(try failure("first") { $0["post_processor"] = step }.hasPrefix("error: " + problem), "\(ids)")
        }
        for kind in ["Unigram", "WordPiece", "WordLevel"] {
            #expect(
                try failure("first", model("type", kind))
                    == "error: key 'model.type' is '\(kind)', which is not supported, at file 't'; expected 'BPE'")
        }
        #expect(
            try failure("first", model("byte_fallback", false))
                == "error: key 'model.byte_fallback' is false, at file 't'; expected true without 'ByteLevel'")
        #expect(
            try failure("llama3", model("end_of_word_suffix", "</w>")).contains(
                "'model.end_of_word_suffix' is '</w>', which is not supported"))
        #expect(try failure("llama3", model("merges", [["zz", "zz"]])).contains("merge 0 joins 'zz' and 'zz', at byte"))
        #expect(try failure("llama3", model("merges", ["one"])).contains("a merge that is not two tokens, at byte"))
        #expect(try failure("first", model("vocab", ["<unk>": 0])).contains("joins"))
        #expect(
            try failure("llama3") { document in
                var steps = document["pre_tokenizer"] as! [String: Any]
                var list = steps["pretokenizers"] as! [[String: Any]]
                list[0]["pattern"] = ["Regex": "\\w+"]
                steps["pretokenizers"] = list
                document["pre_tokenizer"] = steps
            }
                == "error: key 'pre_tokenizer.pretokenizers[0].pattern' is '\\w+', which is not supported, at file 't'; expected the regular expression of GPT-2 or of Llama 3"
        )
        let a = "\"a\": 0"
        #expect(
            errorText { () throws(Diagnostic) in try small(a, added: "{\"id\": 0, \"content\": \"b\"}").count }.contains(
                "'b' for id 0, which is 'a' in the vocabulary"))
        #expect(
            errorText { () throws(Diagnostic) in try small(a, added: "{\"id\": 1, \"content\": \"b\", \"lstrip\": true}").count }.contains(
                "'added_tokens.lstrip' is true of 'b', which is not supported"))
        #expect(
            errorText { () throws(Diagnostic) in try small("\"a\": 0, \"b\": 1, \"ab\": 2", merges: "\"a b\", \"a b\"").count }.contains(
                "merge 1 joins 'a' and 'b' again, at byte"))
        let long = String(repeating: "a", count: 1025)
        #expect(
            errorText { () throws(Diagnostic) in try small("\"\(long)\": 0").count }
                == "error: token 0 has 1025 bytes, at file 't'; expected at most 1024")
        #expect(
            errorText { () throws(Diagnostic) in try small(a, added: "{\"id\": 7, \"content\": \"\(long)\"}").count }.contains(
                "token 7 has 1025 bytes"))
        #expect(errorText { () throws(Diagnostic) in try small(a, added: "{\"id\": -1, \"content\": \"b\"}").count } == "no error but 1")
        let far = Array(
            "{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, \"model\": {\"vocab\": {\"a\": 2147483646}, \"merges\": []}}"
                .utf8)
        #expect(
            errorText { () throws(Diagnostic) in try read(far, vocabularySize: Int(Int32.max)).count }.contains(
                "token id 2147483646, at byte"))
        #expect(errorText { () throws(Diagnostic) in try small("\"a\": 0, \"a\": 1").count }.contains("token 'a' stands twice"))
        #expect(errorText { () throws(Diagnostic) in try small("\"a\": 0, \"b\": 0").count }.contains("token id 0 stands twice"))
    }

    /// Cut anywhere, a file is refused with the place.
    @Test func cutShort() throws {
        let text = Array(
            """
            {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "model": {"vocab": {"a": 0, "\\u00e9\\n": 1, "aa": 2}, "merges": ["a a"]}, "x": [1, {"y": "\\""}]}
            """.utf8)
        #expect(try read(text).merges.count == 1)
        for count in text.indices {
            #expect(errorText { () throws(Diagnostic) in try read(Array(text[..<count])).count }.hasPrefix("error: "), "\(count)")
        }
        #expect(
            errorText { () throws(Diagnostic) in try read([0x7B, 0xFF]).count }
                == "error: the text is not UTF-8, at file 't'; expected JSON")
    }
}
