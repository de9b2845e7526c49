import Support

/// Layout D: a LLaMA decoder without images, as transformers saves `LlamaForCausalLM`.
extension Checkpoint {
    static func isDecoderOnly(_ config: JSONObject) throws(Diagnostic) -> Bool { try config.optionalString("model_type") == "llama" }

    static func openDecoder(path: String, config: JSONObject, visionTower: String?, adapter: String?) throws(Diagnostic) -> Checkpoint {
        guard visionTower == nil else {
            throw .usage("the model is a decoder without images", at: .option("--vision-tower"), expected: "no such option")
        }
        if let classes = try config.optionalArray("architectures"), !classes.contains(.string("LlamaForCausalLM")) {
            throw config.invalid("architectures", "names another head", expected: "'LlamaForCausalLM'")
        }
        let decoder = try DecoderConfiguration(config)
        let tokenizer = try Tokenizer(folder: path, vocabularySize: decoder.vocabularySize)
        var prompt = try PromptConfiguration(config: config, folder: path, tokenizer: tokenizer, vocabularySize: decoder.vocabularySize)
        // What the weights were trained to follow, if anything, is not LLaVA's conversation.
        prompt.templateName = "none"
        var folder = try TensorFolder(path: path)
        let adapted = try adapter.map { adapter throws(Diagnostic) in try AdapterSource(folder: adapter, naming: folder.naming) }
        folder.tensors.merge(adapted?.replacements ?? [:]) { _, new in new }
        var matcher = TensorMatcher(folder)
        try matcher.matchDecoder(decoder)
        let scales = try adapted?.apply(to: &matcher) ?? [:]
        try matcher.refuseSurplus()
        return Checkpoint(
            path: path,
            configuration: ModelConfiguration(name: lastPathComponent(path), layout: .decoderOnly, decoder: decoder, prompt: prompt, adapterScales: scales),
            tensors: matcher.entries, tokenizer: tokenizer)
    }
}
