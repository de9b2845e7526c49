/// The product of `factors` in 64 bits, or nil on overflow or for a negative factor. No factors give 1.
public func checkedProduct(_ factors: some Sequence<Int>) -> Int? {
    var product = 1
    var overflowed = false, zero = false
    for factor in factors {
        guard factor >= 0 else { return nil }
        // One zero makes the product exact again, wherever it stands.
        zero = zero || factor == 0
        let (next, overflow) = product.multipliedReportingOverflow(by: factor)
        overflowed = overflowed || overflow
        product = next
    }
    return zero ? 0 : overflowed ? nil : product
}

/// `checkedProduct` of the factors written out.
public func checkedProduct(_ factors: Int...) -> Int? { checkedProduct(factors) }

/// The sum of `terms` in 64 bits, or nil on overflow.
public func checkedSum(_ terms: some Sequence<Int>) -> Int? {
    var sum = 0
    for term in terms {
        let (next, overflow) = sum.addingReportingOverflow(term)
        if overflow { return nil }
        sum = next
    }
    return sum
}

/// `value` rounded up to a multiple of `alignment` (positive), or nil on overflow.
public func roundedUp(_ value: Int, to alignment: Int) -> Int? {
    precondition(value >= 0 && alignment > 0)
    let remainder = value % alignment
    guard remainder != 0 else { return value }
    let (sum, overflow) = value.addingReportingOverflow(alignment - remainder)
    return overflow ? nil : sum
}
