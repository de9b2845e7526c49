import Glibc

/// theta^(-2j/d) for j < d/2, rounded where transformers rounds: the exponent, the power and its inverse, each to float32.
func rotaryFrequencies(headSize: Int, theta: Float) -> [Float] {
    (0..<headSize / 2).map { j in
        let exponent = Float(2 * j) / Float(headSize)
        return 1 / Float(pow(Double(theta), Double(exponent)))
    }
}
