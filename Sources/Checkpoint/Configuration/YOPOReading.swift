import Support

extension TokenReduction {
    /// The same method with what the keys of a checkpoint say of it, where these are of one method and it does not say so itself.
    public func completed(by released: TokenReduction?) -> TokenReduction {
        guard case .yopo(var own) = self, case .yopo(let other)? = released else { return self }
        own.layers = own.layers ?? other.layers
        own.window = own.window ?? other.window
        own.ffn = own.ffn ?? other.ffn
        return .yopo(own)
    }
}

extension JSONObject {
    /// The keys that YOPO's training leaves in a `config.json`; nil without any. The mask of heads is a file that lies elsewhere, which
    /// `headcut_num` names; `sprompt_len`, the place of the image, every prompt says for itself.
    func releasedYOPO() throws(Diagnostic) -> TokenReduction.YOPO? {
        let layers = try optionalInteger("layercut_num"), window = try optionalInteger("attncut_w"),
            ffn = try optionalDouble("mlpcut_ratio")
        let heads = try optionalInteger("headcut_num")
        guard layers != nil || window != nil || ffn != nil || heads != nil else { return nil }
        let counts = 1...JSONObject.maximumLayers
        if let layers, !counts.contains(layers) {
            throw invalid("layercut_num", "is \(layers)", expected: "\(counts.lowerBound) to \(counts.upperBound)")
        }
        if let window, window < 1 || window % 2 == 0 || window > JSONObject.maximumDimension {
            throw invalid("attncut_w", "is \(window)", expected: "an odd number")
        }
        if let ffn, !(ffn >= 1 && Float(ffn).isFinite) { throw invalid("mlpcut_ratio", "is \(ffn)", expected: "a number of at least 1") }
        return TokenReduction.YOPO(heads: nil, layers: layers, window: window, ffn: ffn)
    }
}
