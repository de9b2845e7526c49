import Support
import TestSupport
import Testing

@testable import Checkpoint

/// A vocabulary with VoCo-LLaMA's token makes a model that compresses its images.
@Suite struct CompressionTests {
    private static let word = #"{"<voco>": 260}"#, role = #"{"additional_special_tokens": ["<voco>"]}"#

    private func with(_ files: [String: String], _ fixture: Fixture = .llava) -> Fixture {
        var fixture = fixture
        fixture.config["vocab_size"] = 261
        for name in ["model.embed_tokens.weight", "lm_head.weight"] { fixture.tensors[name]!.shape = [261, 8] }
        for (name, text) in files { fixture.files[name] = text }
        return fixture
    }

    @Test func theVocabularySaysIt() throws {
        let files = ["added_tokens.json": Self.word, "special_tokens_map.json": Self.role]
        let compression = try with(files).open().configuration.compression
        #expect(compression?.token == 260 && compression?.count == 2)
        // What is not said to be special is a word, and the same token.
        #expect(try with(["added_tokens.json": Self.word]).open().configuration.compression == compression)
        #expect(try with(["added_tokens.json": #"{"<vocos>": 260}"#]).open().configuration.compression == nil)
        #expect(try Fixture.llava.open().configuration.compression == nil)
        // One that the embedding has no row for is none, and a model without images has nothing to compress.
        #expect(try with(["added_tokens.json": #"{"<voco>": 261}"#]).open().configuration.compression == nil)
        #expect(try with(files, .decoder).open().configuration.compression == nil)
        // LLaVA-Mini compresses ahead of its decoder.
        #expect(try with(files, .llavaMini).open().configuration.compression == nil)
    }

    @Test func ofATokenizerJSON() throws {
        let folder = "\(repository)/Tests/Golden/tokenizers/"
        let tokenizer = try Tokenizer(folder: folder + "llama3", vocabularySize: 440)
        #expect(tokenizer.id(of: "<|eot_id|>") == 425 && tokenizer.id(of: "<voco>") == nil)
        // A piece of the same text is no token that a prompt could name.
        #expect(tokenizer.id(of: "a") == nil)
    }
}
