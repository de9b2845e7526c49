import Foundation

/// The repository that the tests were compiled from.
public let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
