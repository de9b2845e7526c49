import IR

func normalize(_ op: Normalize, _ image: Tensor) -> Tensor {
    let (height, width, channels) = (image.shape[0], image.shape[1], image.shape[2])
    let pixels = image.bytes
    var result = [Float](repeating: 0, count: pixels.count)
    for channel in 0..<channels {
        let (mean, std) = (Double(op.mean[channel]), Double(op.std[channel]))
        for pixel in 0..<height * width {
            result[channel * height * width + pixel] = Float((Double(pixels[pixel * channels + channel]) / 255 - mean) / std)
        }
    }
    return Tensor(shape: [channels, height, width], result)
}

func extractPatches(_ op: ExtractPatches, _ image: Tensor) -> Tensor {
    if case .uint8(let bytes) = image.elements { return extractPatches(op, bytes, image.shape) }
    let (channels, height, width) = (image.shape[0], image.shape[1], image.shape[2])
    let order = op.order(rows: height / op.patch, columns: width / op.patch)
    let pixels = image.floats
    var result: [Float] = []
    result.reserveCapacity(order.count * channels * op.patch * op.patch)
    for place in order {
        for channel in 0..<channels {
            for dy in 0..<op.patch {
                let start = (channel * height + place.row * op.patch + dy) * width + place.column * op.patch
                result += pixels[start..<start + op.patch]
            }
        }
    }
    return Tensor(shape: [order.count, channels * op.patch * op.patch], result)
}

/// From interleaved bytes, each less its channel's center.
private func extractPatches(_ op: ExtractPatches, _ bytes: [UInt8], _ shape: [Int]) -> Tensor {
    let (height, width, channels) = (shape[0], shape[1], shape[2])
    let order = op.order(rows: height / op.patch, columns: width / op.patch)
    var result: [Float] = []
    result.reserveCapacity(order.count * channels * op.patch * op.patch)
    for place in order {
        for channel in 0..<channels {
            let center = op.center.isEmpty ? 0 : Double(op.center[channel])
            for dy in 0..<op.patch {
                let start = (place.row * op.patch + dy) * width + place.column * op.patch
                for pixel in start..<start + op.patch { result.append(Float(Double(bytes[pixel * channels + channel]) - center)) }
            }
        }
    }
    return Tensor(shape: [order.count, channels * op.patch * op.patch], result)
}

func gatherWindows(_ op: GatherWindows, _ tokens: Tensor) -> Tensor {
    let channels = tokens.shape[1]
    let values = tokens.floats
    var result: [Float] = []
    result.reserveCapacity(values.count)
    for top in stride(from: 0, to: op.height, by: op.kernel) {
        for left in stride(from: 0, to: op.width, by: op.kernel) {
            for channel in 0..<channels {
                for dy in 0..<op.kernel {
                    for dx in 0..<op.kernel { result.append(values[((top + dy) * op.width + left + dx) * channels + channel]) }
                }
            }
        }
    }
    let area = op.kernel * op.kernel
    return Tensor(shape: [tokens.shape[0] / area, channels * area], result)
}

func averageWindows(_ op: AverageWindows, _ tokens: Tensor) -> Tensor {
    let (windows, channels) = (op.windows, tokens.shape[1])
    let values = tokens.floats
    var result: [Float] = []
    for top in stride(from: 0, to: windows.height, by: windows.kernel) {
        for left in stride(from: 0, to: windows.width, by: windows.kernel) {
            for channel in 0..<channels {
                var sum = 0.0
                for row in top + op.margin..<top + windows.kernel - op.margin {
                    for column in left + op.margin..<left + windows.kernel - op.margin {
                        sum += Double(values[(row * windows.width + column) * channels + channel])
                    }
                }
                result.append(Float(sum / Double(op.innerEdge * op.innerEdge)))
            }
        }
    }
    return Tensor(shape: [result.count / channels, channels], result)
}
