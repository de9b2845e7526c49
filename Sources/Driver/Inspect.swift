import Checkpoint
import IR
import Support

extension Lmmc {
    /// `lmmc inspect`: what a checkpoint is and what its binary will take.
    public static func inspect(_ options: ModelOptions, json: Bool) throws(Diagnostic) {
        let front = try FrontEnd.open(options)
        let module = try front.run { _ throws(Diagnostic) in true }
        let inspection = Inspection(front: front, module: module)
        try writeStandardOutput(json ? inspection.json.text(indent: 0) + "\n" : inspection.text)
    }
}

/// The figures of a checkpoint, as text or JSON.
struct Inspection {
    let front: FrontEnd
    let module: Module

    struct Role {
        var name: String
        var count = 0
        var elements = 0
        var shapes: [String] = []
        var types: [String] = []
    }

    /// Tensors grouped by what they are: layer numbers are left out of the names.
    var roles: [Role] {
        var order: [String] = []
        var roles: [String: Role] = [:]
        let entries = front.checkpoint.tensors.filter { $0.key == $0.value.canonicalName }.map(\.value)
        for entry in entries.sorted(by: { layerFirst($0.canonicalName) < layerFirst($1.canonicalName) }) {
            let name = entry.canonicalName.split(separator: ".").map { $0.allSatisfy(\.isNumber) ? "*" : String($0) }.joined(separator: ".")
            if roles[name] == nil { order.append(name) }
            var role = roles[name] ?? Role(name: name)
            role.count += 1
            role.elements += entry.elementCount
            let shape = "[\(entry.shape.map(String.init).joined(separator: ", "))]"
            if !role.shapes.contains(shape) { role.shapes.append(shape) }
            if !role.types.contains(entry.dtype.rawValue) { role.types.append(entry.dtype.rawValue) }
            roles[name] = role
        }
        return order.map { roles[$0]! }
    }

    /// Sorts `layers.2` before `layers.10`.
    private func layerFirst(_ name: String) -> String {
        name.split(separator: ".").map { $0.allSatisfy(\.isNumber) ? padded(String($0), 6, right: true) : String($0) }.joined(separator: ".")
    }

    /// Bytes of the weights that the binary holds, 32-bit floats.
    var weightBytes: Int { module.storedWeights.reduce(0) { $0 + (module.weights[$1]?.type.byteCount() ?? 0) } }
    var cacheBytes: Int { module.states.values.reduce(0) { $0 + ($1.byteCount() ?? 0) } }

    /// Parameters of the three parts; the fusion is what belongs to neither tower nor decoder.
    var parameters: [(part: String, count: Int)] {
        let checkpoint = front.checkpoint
        let (vision, decoder, all) = (
            checkpoint.parameterCount(prefix: "vision."), checkpoint.parameterCount(prefix: "decoder."), checkpoint.parameterCount())
        return (checkpoint.configuration.vision == nil ? [] : [("vision tower", vision), ("fusion", all - vision - decoder)])
            + [("decoder", decoder), ("all", all)]
    }

    var json: JSONText {
        let configuration = front.checkpoint.configuration
        var members: [(String, JSONText)] = [
            ("model", .string(configuration.name)), ("layout", .string(configuration.layout.rawValue)),
            ("template", .string(configuration.prompt.templateName)), ("context", .integer(front.context)), ("precision", .string(front.policy.base.rawValue)),
        ]
        if let vision = configuration.vision, let fusion = configuration.fusion {
            members.append(("vision", front.visionInfo(vision, fusion)))
        }
        members.append(("decoder", front.decoderInfo(configuration.decoder)))
        members.append(("parameters", .object(parameters.map { ($0.part.replacing(" ", with: "_"), .integer($0.count)) })))
        members.append((
            "bytes",
            .object([
                ("checkpoint", .integer(front.checkpoint.byteCount())), ("weights", .integer(weightBytes)),
                ("kv_cache", .integer(cacheBytes)),
            ])))
        members.append((
            "tensors",
            .array(roles.map { role in
                .object([
                    ("role", .string(role.name)), ("count", .integer(role.count)), ("elements", .integer(role.elements)),
                    ("shapes", .array(role.shapes.map(JSONText.string))), ("types", .array(role.types.map(JSONText.string))),
                ])
            })))
        return .object(members)
    }

    var text: String {
        let configuration = front.checkpoint.configuration
        let decoder = configuration.decoder
        var lines: [(String, String)] = [("model", "\(configuration.name), layout '\(configuration.layout.rawValue)'")]
        if let vision = configuration.vision, let fusion = configuration.fusion {
            lines.append((
                "vision",
                "\(vision.imageSize) px in \(vision.grid) x \(vision.grid) patches, \(vision.layerCount) blocks of width \(vision.hiddenSize)"
                    + ", computed up to block \(fusion.lastTap)"))
            var text = "taps \(fusion.taps.map(String.init).joined(separator: ", "))"
            if !fusion.mbtf.isEmpty { text += "; MBTF" }
            if fusion.kernel > 1 { text += "; \(fusion.averagesWindow ? "means" : "windows") of \(fusion.kernel) x \(fusion.kernel)" }
            if let qformer = fusion.qformer { text += "; Q-Former with \(qformer.queries) queries, \(qformer.layerCount) layers" }
            if fusion.windowConvolution != nil { text += " with a convolution" }
            if fusion.tokensPerWindow > 1 { text += ", \(fusion.tokensPerWindow) tokens each" }
            lines.append(("fusion", text))
            lines.append(("tokens", "\(fusion.visionTokens(grid: vision.grid)) per image"))
        }
        lines.append((
            "decoder",
            "\(decoder.layerCount) layers of width \(decoder.hiddenSize), \(decoder.headCount) heads"
                + (decoder.keyValueHeadCount == decoder.headCount ? "" : " over \(decoder.keyValueHeadCount)")
                + ", inner width \(decoder.intermediateSize), vocabulary \(decoder.vocabularySize)"))
        lines.append(("prompt", "template '\(configuration.prompt.templateName)', eos \(configuration.prompt.eosIDs.map(String.init).joined(separator: ", "))"))
        lines.append(("parameters", parameters.map { "\($0.part) \(grouped($0.count))" }.joined(separator: ", ")))
        lines.append(("files", byteCountText(UInt64(front.checkpoint.byteCount())) + " of weights"))
        lines.append(("binary", byteCountText(UInt64(weightBytes)) + " of weights in \(front.policy.base.rawValue)"))
        lines.append(("KV cache", "\(byteCountText(UInt64(cacheBytes))) in \(front.policy.cache.rawValue) for a context of \(front.context)"))
        var text = lines.map { "\(padded($0.0, 11)) \($0.1)\n" }.joined() + "\n"
        let roles = roles
        let nameWidth = roles.map(\.name.count).max() ?? 0
        let shapeWidth = roles.map { $0.shapes.joined(separator: " ").count }.max() ?? 0
        for role in roles {
            let columns = [
                padded("\(role.count)", 4, right: true), padded(role.name, nameWidth), padded(role.shapes.joined(separator: " "), shapeWidth),
                padded(role.types.joined(separator: " "), 4), padded(grouped(role.elements), 13, right: true),
            ]
            text += columns.joined(separator: "  ") + "\n"
        }
        return text
    }
}

/// 1234567 as `1,234,567`.
private func grouped(_ value: Int) -> String {
    var digits = Array(String(value))
    for index in stride(from: digits.count - 3, to: 0, by: -3) { digits.insert(",", at: index) }
    return String(digits)
}
