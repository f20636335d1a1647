//! What programs may learn about other accounts on the L2.
//!
//! Only its owner reads an account's balance (protocol 8.1), yet anybody may run a program (`eth_call`), and
//! Ethereum's programs read everybody's. So of an account without code, `BALANCE` and `EXTCODEHASH` (which tells
//! whether it exists) answer zero, unless it is the origin, the caller or the executing account: those take part.
//! A contract's answers are as in Ethereum, or pools and vaults would not work. An account that delegates (EIP-7702)
//! remains a person's: it counts as one without code. Gas tells nothing that the answer hides: that of the two
//! instructions is Ethereum's, and paying an account costs the same whether it exists or not (`env`).

use alloy_primitives::{Address, B256, U256};
use revm::{
    bytecode::opcode::{BALANCE, EXTCODEHASH},
    interpreter::{
        Host, Instruction, InstructionContext, InstructionExecResult, InstructionResult,
        InstructionTable, InterpreterTypes,
        instructions::host,
        interpreter_types::{InputsTr, StackTr},
    },
};

/// Makes the two instructions keep the rule. Their static gas is in another table, which stays.
pub(super) fn hide_others<W: InterpreterTypes, H: Host>(table: &mut InstructionTable<W, H>) {
    table[usize::from(BALANCE)] = Instruction::new(|context| unless_hidden(context, host::balance));
    table[usize::from(EXTCODEHASH)] =
        Instruction::new(|context| unless_hidden(context, host::extcodehash));
}

/// Runs an instruction that replaces the address on top of the stack by something about that account, and replaces
/// this by zero if it is nobody's business here.
fn unless_hidden<W: InterpreterTypes, H: Host>(
    context: InstructionContext<'_, H, W>,
    instruction: fn(InstructionContext<'_, H, W>) -> InstructionExecResult,
) -> InstructionExecResult {
    let InstructionContext { interpreter, host } = context;
    let top = interpreter.stack.top().ok_or(InstructionResult::StackUnderflow)?;
    let subject = Address::from_word(B256::from(*top));
    instruction(InstructionContext { interpreter: &mut *interpreter, host: &mut *host })?;
    let input = &interpreter.input;
    if [input.target_address(), input.caller_address(), host.caller()].contains(&subject) {
        return Ok(());
    }
    // The instruction has paid for the account: looking again costs nothing, whatever it finds.
    let account = host.load_account_info_skip_cold_load(subject, true, false)?;
    let is_contract =
        account.code.as_ref().is_some_and(|code| !code.is_empty() && !code.is_eip7702());
    if !is_contract && let Some(top) = interpreter.stack.top() {
        *top = U256::ZERO;
    }
    Ok(())
}
