import Support

extension TokenPackerConfiguration {
    /// What the published code fixes, whatever the configuration says.
    static let taps = [12, 16, 22, 23]
    static let headCount = 8
    static let scales = [2, 3, 4]

    /// The tensor by which a checkpoint is known to have the projector, since the published code reads no key that says so.
    static let queryProjection = "model.mm_projector.q_proj_1.weight"

    static func isMeant(by config: JSONObject, _ folder: TensorFolder) throws(Diagnostic) -> Bool {
        if folder.tensors[queryProjection] != nil { return true }
        return try config.optionalString("mm_projector_type") == "tokenpacker"
    }

    /// Refuses what the releases with several crops of an image say, and a tower that lacks what is read of it. The width stands in the
    /// tensors only; where they lack it, which the match of tensors tells, it is the tower's, as published.
    init(_ config: JSONObject, vision: VisionConfiguration, folder: TensorFolder) throws(Diagnostic) {
        if config["patch_num"] != nil {
            throw config.invalid("patch_num", "is set, which is not supported", expected: "null")
        }
        let last = Self.taps[3]
        guard vision.layerCount >= last else {
            throw .error(
                "a tower of \(vision.layerCount) blocks, but TokenPacker reads the outputs of blocks "
                    + Self.taps.map(String.init).joined(separator: ", "), at: .file(config.file), expected: "at least \(Self.taps[3])")
        }
        let key = "mm_vision_select_layer"
        if config[key] != nil, case let index = try config.integer(key), try FusionSource.tap(index, key, config, vision) != last {
            throw config.invalid(key, "is \(index), but TokenPacker makes its queries of the output of block \(last)", expected: "\(last)")
        }
        layerNormEpsilon = 1e-6
        headCount = Self.headCount
        queryTap = last
        let stored = folder.tensors[Self.queryProjection]
        width = stored?.tensor.shape.first.flatMap { 1...JSONObject.maximumDimension / 4 ~= $0 ? $0 : nil } ?? vision.hiddenSize
        if let stored, width % headCount != 0 {
            throw .error("a width of \(width)", at: stored.site, expected: "a multiple of TokenPacker's \(headCount) heads")
        }
    }

    /// The key `scale_factor`: the edge of the windows, each of which becomes a token.
    static func scale(_ config: JSONObject, _ vision: VisionConfiguration) throws(Diagnostic) -> Int {
        let scale = try config.integer("scale_factor")
        guard scales.contains(scale) else { throw config.invalid("scale_factor", "is \(scale)", expected: "2, 3 or 4") }
        guard vision.grid % scale == 0 else {
            throw config.invalid(
                "scale_factor", "is \(scale)", expected: divisors(of: vision.grid, called: "\(vision.grid) x \(vision.grid) patch grid"))
        }
        return scale
    }
}

/// The tensors of a TokenPacker over taps of `channels` each, up to the two maps of its end.
func tokenPackerTensors(_ packer: TokenPackerConfiguration, channels: Int, taps: Int) -> [ExpectedTensor] {
    func tensor(_ name: String, _ shape: [Int]) -> ExpectedTensor {
        ExpectedTensor(canonicalName: "tokenpacker.\(name)", sourceName: "model.mm_projector.\(name)", shape: shape)
    }
    let width = packer.width
    let norms = ["ln_q_1", "ln_k_1", "ln_v_1"].flatMap { [tensor("\($0).weight", [width]), tensor("\($0).bias", [width])] }
    return packer.maps(channels: channels, taps: taps).flatMap { map in
        [tensor(map.weight, [map.output, map.input])] + (map.bias.map { [tensor($0, [map.output])] } ?? [])
    } + norms
}

extension TokenPackerConfiguration {
    /// Its linear maps over taps of `channels` each, with what its tensors are called behind the projector's name.
    public func maps(channels: Int, taps: Int) -> [(weight: String, bias: String?, output: Int, input: Int)] {
        func map(_ name: String, _ input: Int) -> (weight: String, bias: String?, output: Int, input: Int) {
            ("\(name).weight", "\(name).bias", width, input)
        }
        return [("q_proj_1.weight", nil, width, channels)]
            + ["k_proj_1", "v_proj_1"].flatMap { [map("\($0).0", taps * channels), map("\($0).2", width)] }
            + [("clip_attn.in_proj_weight", "clip_attn.in_proj_bias", 3 * width, width), map("clip_attn.out_proj", width)]
    }
}
