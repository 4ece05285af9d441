#pragma once

#include <string>
#include <vector>

namespace outlierlab {

class Study;

/// One scripted study: one table or figure. `state` tells the study its measurements.
struct Experiment {
  std::string name;
  std::string claims;    ///< of the paper, as numbered in docs/design.md
  std::string question;  ///< what is asked
  std::string summary;   ///< what is measured, in one line
  void (*state)(Study&);
  bool in_all = true;  ///< part of `run all`; otherwise only by name
};

/// All experiments in the order of the paper.
const std::vector<Experiment>& experiments();

void baseline(Study&);
void activations(Study&);
void calibration(Study&);
void mixed_precision(Study&);
void peg(Study&);
void deployment(Study&);
void deployment_shapes(Study&);
void roofline(Study&);
void rounding(Study&);
void transforms(Study&);

}  // namespace outlierlab
