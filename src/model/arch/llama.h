#pragma once
namespace octavo::model {
struct ArchSpec;
extern const ArchSpec kLlama;
}  // namespace octavo::model
