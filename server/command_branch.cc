// `nexus branch create|list|delete` and `nexus snapshot create|list|delete`.

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/time_text.h"
#include "server/command.h"
#include "server/command_target.h"

namespace nexus::server {
namespace {

struct BranchArguments {
  Where where;
  BranchKind kind = BranchKind::kBranch;
  std::string name;
  std::string from;  // empty: the branch of `where`
  std::string format = "table";
};

const char* Word(BranchKind kind) { return kind == BranchKind::kSnapshot ? "snapshot" : "branch"; }

std::string LayersOf(const BranchInfo& branch) {
  return fmt::format("{} {} of {}", branch.layers, branch.layers == 1 ? "layer" : "layers",
                     FormatBytes(branch.layer_bytes));
}

// The one of this name, which was there a moment ago.
StatusOr<BranchInfo> Find(CommandTarget* target, const BranchArguments& arguments) {
  NEXUS_ASSIGN_OR_RETURN(std::vector<BranchInfo> branches, target->Branches());
  for (const BranchInfo& branch : branches) {
    if (branch.name == arguments.name) return branch;
  }
  return NotFound("{} \"{}\" of tenant \"{}\" does not exist", Word(arguments.kind), arguments.name,
                  arguments.where.tenant);
}

int Create(const BranchArguments& arguments) {
  return RunOnTarget(arguments.where, [&](CommandTarget* target) -> StatusOr<std::string> {
    const std::string& from = arguments.from.empty() ? arguments.where.branch : arguments.from;
    NEXUS_RETURN_IF_ERROR(target->CreateBranch(arguments.name, arguments.kind, from));
    NEXUS_ASSIGN_OR_RETURN(BranchInfo made, Find(target, arguments));
    return fmt::format("{} {} made of {}: {}, shared\n", Word(arguments.kind), arguments.name, from,
                       LayersOf(made));
  });
}

int Delete(const BranchArguments& arguments) {
  return RunOnTarget(arguments.where, [&](CommandTarget* target) -> StatusOr<std::string> {
    NEXUS_ASSIGN_OR_RETURN(BranchInfo deleted, Find(target, arguments));
    NEXUS_RETURN_IF_ERROR(target->DeleteBranch(arguments.name, arguments.kind));
    return fmt::format("{} {} deleted: it named {}, {} of it alone\n", Word(arguments.kind),
                       arguments.name, LayersOf(deleted), FormatBytes(deleted.own_bytes));
  });
}

std::string JsonOf(const BranchInfo& branch) {
  return fmt::format(
      "{{\"name\":\"{}\",\"kind\":\"{}\",\"parent\":\"{}\",\"created_ns\":{},"
      "\"created_lsn\":{},\"layers\":{},\"layer_bytes\":{},\"own_bytes\":{}}}\n",
      branch.name, Word(branch.kind), branch.parent, branch.created_ns, branch.created.value,
      branch.layers, branch.layer_bytes, branch.own_bytes);
}

std::string TableOf(const std::vector<BranchInfo>& branches) {
  size_t names = 4;
  size_t parents = 4;
  for (const BranchInfo& branch : branches) {
    names = std::max(names, branch.name.size());
    parents = std::max(parents, branch.parent.size());
  }
  std::string out;
  auto row = [&](std::string_view name, std::string_view parent, std::string_view created,
                 std::string_view layers, std::string_view bytes, std::string_view own) {
    out += fmt::format("{:<{}}  {:<{}}  {:<30}  {:>6}  {:>10}  {:>10}\n", name, names, parent,
                       parents, created, layers, bytes, own);
  };
  row("NAME", "FROM", "CREATED", "LAYERS", "BYTES", "ITS ALONE");
  for (const BranchInfo& branch : branches) {
    row(branch.name, branch.parent.empty() ? "-" : branch.parent,
        branch.created_ns == 0 ? "-" : FormatTime(branch.created_ns),
        fmt::format("{}", branch.layers), FormatBytes(branch.layer_bytes),
        FormatBytes(branch.own_bytes));
  }
  return out;
}

int List(const BranchArguments& arguments) {
  return RunOnTarget(arguments.where, [&](CommandTarget* target) -> StatusOr<std::string> {
    NEXUS_ASSIGN_OR_RETURN(std::vector<BranchInfo> branches, target->Branches());
    std::erase_if(branches,
                  [&](const BranchInfo& branch) { return branch.kind != arguments.kind; });
    if (arguments.format != "json") return TableOf(branches);
    std::string out;
    for (const BranchInfo& branch : branches) out += JsonOf(branch);
    return out;
  });
}

void AddCommand(CLI::App* app, Invocation* invocation, BranchKind kind, const char* help) {
  CLI::App* command = app->add_subcommand(Word(kind), help);
  command->require_subcommand(1);
  auto arguments_of = [kind] {
    auto arguments = std::make_shared<BranchArguments>();
    arguments->kind = kind;
    return arguments;
  };
  auto created = arguments_of();
  CLI::App* create = AddTargetCommand(
      command, invocation, "create",
      "Make one that begins with what --from holds: milliseconds, and no copy", &Create, created);
  create->add_option("NAME", created->name, "1 to 64 of letters, digits, _ . -")->required();
  create
      ->add_option("--from", created->from, "the branch or snapshot it begins with; else --branch")
      ->type_name("NAME");
  auto listed = arguments_of();
  AddReportCommand(command, invocation, "list", "List them", &List, listed);
  auto deleted = arguments_of();
  CLI::App* remove =
      AddTargetCommand(command, invocation, "delete",
                       "Delete one, and what no other needs of its layers", &Delete, deleted);
  remove->add_option("NAME", deleted->name, "the one to delete")->required();
}

}  // namespace

void AddBranchCommands(CLI::App* app, Invocation* invocation) {
  AddCommand(app, invocation, BranchKind::kBranch,
             "Branches: copies that go their own way and share what is the same");
  AddCommand(app, invocation, BranchKind::kSnapshot,
             "Snapshots: what a branch held at one moment, for ever");
}

}  // namespace nexus::server
