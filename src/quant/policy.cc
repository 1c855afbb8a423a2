// Patterns against module names: each linear is claimed by at most one rule of `layers`, or by `ignore`; two
// claims are a mistake that only the recipe's author can settle, so both are named. Called by preflight.cc.
#include "quant/policy.h"

#include <optional>

#include "base/regex.h"
#include "base/text_format.h"
#include "kernels/gemm_s8/gemm_s8.h"
#include "model/arch/arch_spec.h"
#include "model/input_readers.h"

namespace octavo::quant {
namespace {

using base::quoted;

// One line of the recipe, ready to be asked about a module.
struct Claim {
  std::string text;                  // as the recipe spells it, for messages
  std::optional<base::Regex> regex;  // otherwise the exact name
  LinearPolicy policy;
  bool is_ignore = false;
  bool matched = false;

  Result<bool> matches(const std::string& module) const {
    if (!regex) return module == text;
    return regex->matches_start(module);
  }
};

Result<std::vector<Claim>> compile_claims(const Recipe& recipe) {
  std::vector<Claim> claims;
  for (const std::string& entry : recipe.ignore) {
    Claim claim{.text = entry, .regex = {}, .policy = {.scheme = Scheme::kFloat}, .is_ignore = true};
    if (entry.starts_with("re:")) {
      OCTAVO_ASSIGN_OR_RETURN(claim.regex, base::Regex::compile(std::string_view(entry).substr(3)));
    }
    claims.push_back(std::move(claim));
  }
  for (const LayerRule& rule : recipe.layers) {
    Claim claim{.text = rule.pattern, .regex = {}, .policy = rule.policy};
    OCTAVO_ASSIGN_OR_RETURN(claim.regex, base::Regex::compile(rule.pattern));
    claims.push_back(std::move(claim));
  }
  return claims;
}

std::string described(const Claim& claim) {
  return (claim.is_ignore ? "ignore entry " : "layers pattern ") + quoted(claim.text);
}

// The policy of a module that no claim names is the recipe's default: W8A8, smoothed.
Result<LinearPolicy> policy_of(const Recipe& recipe, const std::string& module, std::vector<Claim>& claims) {
  const Claim* owner = nullptr;
  for (Claim& claim : claims) {
    auto matches = claim.matches(module);
    if (!matches.ok()) return matches.status().with_context("recipe, " + described(claim));
    if (!*matches) continue;
    claim.matched = true;
    if (owner != nullptr && !(owner->is_ignore && claim.is_ignore)) {
      return invalid_argument("recipe: " + described(*owner) + " and " + described(claim) + " both match " +
                              quoted(module) + "; make one of them narrower");
    }
    owner = &claim;
  }
  return owner == nullptr ? LinearPolicy{.activations = recipe.activations} : owner->policy;
}

// lm_head stays float whether or not `ignore` lists it, so a rule that takes it in along with other modules
// says nothing about it. Only one that names it alone asks for what cannot be done.
Status keep_head_float(const std::string& lm_head, std::vector<Claim>& claims) {
  for (Claim& claim : claims) {
    auto matches = claim.matches(lm_head);
    if (!matches.ok()) return matches.status().with_context("recipe, " + described(claim));
    if (!*matches) continue;
    if (!claim.matched && claim.policy.scheme != Scheme::kFloat) {
      return unsupported("recipe: " + described(claim) + " asks for an int8 " + quoted(lm_head) +
                         ", which is not supported; it always stays float");
    }
    claim.matched = true;
  }
  return {};
}

// Linears that read one input share its int8 codes, and the factors folded into what makes it.
Status check_shared_inputs(const LayerPolicy& policy, const model::ModelConfig& config, int64_t layer) {
  const auto name = [&](model::LinearSlot slot) { return model::linear_name(*config.arch, layer, slot); };
  const std::array<int64_t, model::kNTapSites> widths = {config.d_model, config.q_width(), config.d_model,
                                                         config.d_ff};
  for (size_t input = 0; input < widths.size(); ++input) {
    std::optional<model::LinearSlot> first, first_smoothed;
    for (const model::LinearSlot slot : model::readers_of(static_cast<model::TapSite>(input))) {
      const LinearPolicy& found = policy[static_cast<size_t>(slot)];
      if (found.scheme == Scheme::kFloat) continue;
      if (found.activations == Activations::kStatic && widths[input] > kernels::kGemmS8MaxStaticK) {
        return unsupported("recipe: " + quoted(name(slot)) + " has " + std::to_string(widths[input]) +
                           " inputs; static activations are exact up to " +
                           std::to_string(kernels::kGemmS8MaxStaticK));
      }
      if (!first) first = slot;
      const LinearPolicy& expected = policy[static_cast<size_t>(*first)];
      const std::string both = quoted(name(*first)) + " and " + quoted(name(slot)) + " read one input";
      if (found.activations != expected.activations) {
        return invalid_argument("recipe: " + both + ", so their activations must be the same; found " +
                                activations_name(expected.activations) + " and " +
                                activations_name(found.activations));
      }
      if (!found.smooth) continue;
      if (!first_smoothed) first_smoothed = slot;
      if (found.strength != policy[static_cast<size_t>(*first_smoothed)].strength) {
        return invalid_argument(
            "recipe: " + quoted(name(*first_smoothed)) + " and " + quoted(name(slot)) +
            " read one input, so they are smoothed with one strength; found different ones");
      }
    }
  }
  return {};
}

}  // namespace

Result<ModelPolicy> resolve_policy(const Recipe& recipe, const model::ModelConfig& config) {
  OCTAVO_ASSIGN_OR_RETURN(std::vector<Claim> claims, compile_claims(recipe));
  ModelPolicy policy;
  std::vector<std::string> modules;
  policy.layers.resize(static_cast<size_t>(config.n_layers));
  for (int64_t layer = 0; layer < config.n_layers; ++layer) {
    for (int slot = 0; slot < model::kNLinearSlots; ++slot) {
      modules.push_back(model::linear_name(*config.arch, layer, static_cast<model::LinearSlot>(slot)));
      OCTAVO_ASSIGN_OR_RETURN(const LinearPolicy found, policy_of(recipe, modules.back(), claims));
      policy.layers[static_cast<size_t>(layer)][static_cast<size_t>(slot)] = found;
      if (found.scheme == Scheme::kFloat) {
        policy.float_linear.push_back(modules.back());
      } else {
        ++policy.n_quantized;
      }
      if (found.has_static_input()) ++policy.n_static;
    }
    OCTAVO_RETURN_IF_ERROR(check_shared_inputs(policy.layers[static_cast<size_t>(layer)], config, layer));
  }
  modules.emplace_back(config.arch->lm_head);
  OCTAVO_RETURN_IF_ERROR(keep_head_float(modules.back(), claims));
  policy.float_linear.push_back(modules.back());
  if (policy.n_quantized == 0) {
    return invalid_argument("recipe: every linear stays float, so there is nothing to quantize");
  }
  for (const Claim& claim : claims) {
    if (claim.matched) continue;
    const std::string near = claim.is_ignore && !claim.regex ? base::nearest(claim.text, modules) : "";
    policy.warnings.push_back("recipe: " + described(claim) + " matches no module of this model" +
                              (near.empty() ? "" : "; did you mean " + quoted(near) + "?"));
  }
  return policy;
}

}  // namespace octavo::quant
