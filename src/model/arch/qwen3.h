#pragma once
namespace octavo::model {
struct ArchSpec;
extern const ArchSpec kQwen3;
}  // namespace octavo::model
